"""What an endpoint is: data and small functions, one value a file. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.prices import Price
from contracts.quantities import Quantity, Unit
from contracts.record import JSON
from contracts.usage import TokenUsage, plausible
from libs.chat.exact_json import encode
from libs.endpoints.form import Form
from libs.pricing.bounds import Size

Answer = dict[str, Any]
"""The JSON of a provider's answer, or of an event of its stream."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be known of a request before a provider is asked: the most that it can use."""

    size: Size
    outputs: int = 0
    """How many outputs are counted in tokens, each of the most that the model gives."""
    streamed: bool = False
    """The answer comes in pieces."""
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What an answer used, by the provider's word."""

    tokens: TokenUsage | None = None
    quantities: tuple[Quantity, ...] = ()


def nothing(_form: Form) -> tuple[Quantity, ...]:
    """No quantity is certain before the answer."""
    return ()


def as_json(_form: Form, answer: Answer) -> str:
    """The answer as it came."""
    return encode(answer)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API, as OpenAI has it unless its file says otherwise."""

    path: str
    needs: Callable[[Form], Needs]
    """Raises `libs.endpoints.form.RequestError`."""
    counts: Callable[[Form, Answer], Counts]
    """Of the client's request and the whole answer, or the last event of a stream."""
    multipart: bool = False
    """Requests are forms with files; else JSON."""
    certain: Callable[[Form], tuple[Quantity, ...]] = nothing
    """What is used as soon as the provider works on it, whatever becomes of the answer."""
    prepared: Callable[[Form, Price | None], Form] = lambda form, _price: form
    """The form for the provider, where what is counted depends on the form of the answer."""
    unstreamed: Callable[[Form, Price | None], bool] = lambda _form, _price: False
    """The client wants a stream, and the provider has no stream with the counts; see ``written``."""
    written: Callable[[Form, Answer], str] = as_json
    """A whole answer for the client, from the client's form; the events of one, where it is ``unstreamed``."""
    content_type: Callable[[Form], str] = lambda _form: JSON
    """Of an answer that is not streamed in events."""
    recording: Callable[[Form], bool] = lambda _form: False
    """The answer is bytes, piece by piece."""
    last: tuple[str, ...] = ()
    """Types of a stream's events that have the counts."""


def tokens_of(answer: Mapping[str, Any]) -> TokenUsage | None:
    """The tokens of an answer, in any of the shapes that these APIs have them in; None where there are none."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    read = usage.get("input_tokens_details") or usage.get("input_token_details")
    written = usage.get("output_tokens_details") or usage.get("output_token_details")
    given = _count(usage, "input_tokens", "prompt_tokens"), _count(usage, "output_tokens", "completion_tokens")
    if given == (None, None):
        given = (_count(usage, "total_tokens"), None)
    if given == (None, None):
        return None
    return TokenUsage(
        input_tokens=given[0] or 0,
        output_tokens=given[1] or 0,
        cache_read_tokens=_count(read, "cached_tokens") or 0,
        input_image_tokens=_count(read, "image_tokens") or 0,
        input_audio_tokens=_count(read, "audio_tokens") or 0,
        output_image_tokens=_count(written, "image_tokens") or 0,
        output_audio_tokens=_count(written, "audio_tokens") or 0,
    )


def has_price(price: Price | None, unit: Unit) -> bool:
    """A model is paid for by this unit."""
    return price is not None and any(rate.unit is unit for rate in price.units)


def _count(holder: Any, *names: str) -> int | None:
    for name in names:
        value: Any = holder.get(name) if isinstance(holder, dict) else None
        if plausible(value):
            return int(value)
    return None
