"""What the gateway itself must know of a request's body. Pure.

Bodies are not translated here: a provider that speaks the client's surface takes more than a translation could say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from contracts.quantities import Quantity
from contracts.record import JSON
from contracts.requests import FIM_MOST_TOKENS, MOST_STAND_INS, Surface, is_free
from libs.endpoints.form import Form, RequestError
from libs.endpoints.multipart import FormError
from libs.endpoints.registry import ENDPOINTS
from libs.pricing.bounds import Size, size_of
from services.ingress.core.errors import BadRequest
from services.ingress.core.labels import FIELDS as LABELS
from services.ingress.core.preferences import NONE, Preferences, preferences

MOST_MODEL_CHARACTERS = 200
MOST_TOKENS = 2**31 - 1
"""Of one answer, far beyond any model: what comes of it times a price still fits the ledger."""
MOST_CHOICES = 128
MOST_PROMPTS = 2_048
"""Of one request of the old completions API, as OpenAI has it."""
MOST_NODES = dict.fromkeys(Surface, 100_000) | {Surface.EMBEDDINGS: 400_000}
"""Values in a body: a conversation of a thousand turns with two hundred tools has 30,000. OpenAI takes 300,000 tokens
to embed, each of which may be a number."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gateway itself must know of a request; the rest is the provider's to judge."""

    surface: Surface
    model: str
    stream: bool
    max_tokens: int | None
    choices: int
    size: Size
    wanted: Preferences = NONE
    """Of the choice among providers."""
    stand_ins: tuple[str, ...] = ()
    """Models that the client names beside the first."""
    asked_model: str | None = None
    """What the client named, where that stands for another."""
    effort: str | None = None
    verbosity: str | None = None
    """How the model is asked that was chosen for the client, where they leave it open."""
    quantities: tuple[Quantity, ...] = ()
    """The most that it can use beside tokens."""
    body: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """As the client sent it: never in a log."""
    named: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The fields of `services.ingress.core.labels`, and others that nobody reads."""

    @property
    def free(self) -> bool:
        """Anybody may ask, and nobody pays."""
        return is_free(self.model)


def parse(surface: Surface, raw: bytes, content_type: str = JSON) -> Asked:
    """Reads a request of any surface.

    Raises:
        BadRequest: it is neither JSON nor a form, or lacks what every request of the surface has.
    """
    if surface in ENDPOINTS:
        return _of_endpoint(surface, raw, content_type)
    body = _object(raw)
    stand_ins = _stand_ins(body)
    model = _model(body if body.get("model") else {"model": next(iter(stand_ins), None)})
    stream = body.get("stream", False)
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("`stream` must be true or false.")
    limit, choices = _PARSERS[surface](body)
    wanted = preferences(body.get("provider"))
    return Asked(
        surface,
        model,
        bool(stream),
        limit,
        choices,
        size_of(body, len(raw)),
        wanted,
        stand_ins=stand_ins,
        body=body,
        named=body,
    )


def _of_endpoint(surface: Surface, raw: bytes, content_type: str) -> Asked:
    try:
        form = Form(JSON, _object(raw)) if content_type == JSON else Form.read(content_type, raw)
        needs = ENDPOINTS[surface].needs(form)
    except (FormError, RequestError) as error:
        raise BadRequest(str(error)) from None
    wanted = form.get("provider")
    if form.parts and wanted:
        wanted = _object(str(wanted).encode())
    return Asked(
        surface,
        _model({"model": form.get("model")}),
        needs.streamed,
        None if needs.outputs else 0,
        needs.outputs,
        needs.size,
        preferences(wanted),
        quantities=needs.quantities,
        named={name: form.get(name) for name in LABELS if name in form.names},
    )


def fields_of(raw: bytes) -> dict[str, Any]:
    """All fields of a request in JSON. Raises BadRequest as `parse` does."""
    return _object(raw)


def measured(raw: bytes) -> tuple[str, Size]:
    """The model and the size of a request of the Messages surface that is only to be counted.

    Raises:
        BadRequest: as `parse` does.
    """
    body = _object(raw)
    _check_turns(body)
    return _model(body), size_of(body, len(raw))


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest('`model` is missing: name one of GET /models, for example "model": "openai/gpt-5-mini".')
    if len(model) > MOST_MODEL_CHARACTERS or not model.isprintable():
        raise BadRequest(f"`model` must be at most {MOST_MODEL_CHARACTERS} printable characters.")
    return model


def _stand_ins(body: dict[str, Any]) -> tuple[str, ...]:
    """``models``, as OpenRouter has it ("Model Routing"): who answers where the model before cannot."""
    if body.get("route") not in (None, "fallback"):
        raise BadRequest('`route` must be "fallback".')
    named = body.get("models")
    if named is None:
        return ()
    if not isinstance(named, list) or len(named) > MOST_STAND_INS or not all(map(_is_name, named)):
        raise BadRequest(f"`models` must be a list of at most {MOST_STAND_INS} models of GET /models.")
    return tuple(dict.fromkeys(named))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_MODEL_CHARACTERS and value.isprintable()


_Output = tuple[int | None, int]
"""The limit of output tokens, and how many choices."""


def _chat(body: dict[str, Any]) -> _Output:
    _check_messages(body)
    limits = [limit for name in ("max_completion_tokens", "max_tokens") if (limit := _limit(body, name)) is not None]
    return max(limits, default=None), _choices(body, "n")


def _responses(body: dict[str, Any]) -> _Output:
    return _limit(body, "max_output_tokens"), 1


def _messages(body: dict[str, Any]) -> _Output:
    _check_turns(body)
    limit = _limit(body, "max_tokens")
    if limit is None:
        raise BadRequest("`max_tokens` is missing: the Messages API wants a whole number.")
    return limit, 1


def _check_turns(body: dict[str, Any]) -> None:
    if body.get("thread") is not None:
        # Anthropic's SDKs look for this code, and then send the conversation without a thread.
        raise BadRequest(
            "`thread` is not supported: threads are not kept here. Send the whole conversation as `messages`.",
            code="thread_unsupported_request",
        )
    _check_messages(body)


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("`messages` must be a list of at least one message.")


def _embeddings(body: dict[str, Any]) -> _Output:
    if not body.get("input") or not isinstance(body["input"], str | list):
        raise BadRequest("`input` must be text, or a list of texts or tokens.")
    if body.get("stream"):
        raise BadRequest("embeddings are not streamed.")
    return 0, 1


def _fim(body: dict[str, Any]) -> _Output:
    if not isinstance(body.get("prompt"), str):
        raise BadRequest("`prompt` must be text: what stands before the place to fill.")
    limit = _limit(body, "max_tokens")
    return min(limit or FIM_MOST_TOKENS, FIM_MOST_TOKENS), _choices(body, "n")


def _completions(body: dict[str, Any]) -> _Output:
    prompt = body.get("prompt")
    if not prompt or not isinstance(prompt, str | list):
        raise BadRequest("`prompt` must be text, or a list of texts.")
    prompts = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    if prompts > MOST_PROMPTS:
        raise BadRequest(f"`prompt` must be text, or a list of at most {MOST_PROMPTS} texts.")
    choices = max(_choices(body, "n"), _choices(body, "best_of"))
    return _limit(body, "max_tokens"), choices * prompts


def _choices(body: dict[str, Any], name: str) -> int:
    choices = 1 if body.get(name) is None else body[name]
    if not isinstance(choices, int) or isinstance(choices, bool) or not 1 <= choices <= MOST_CHOICES:
        raise BadRequest(f"`{name}` must be a whole number from 1 to {MOST_CHOICES}.")
    return choices


def _limit(body: dict[str, Any], name: str) -> int | None:
    limit = body.get(name)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST_TOKENS):
        raise BadRequest(f"`{name}` must be a whole number from 1 to {MOST_TOKENS:,}.")
    return limit


_PARSERS: dict[Surface, Callable[[dict[str, Any]], _Output]] = {
    Surface.CHAT_COMPLETIONS: _chat,
    Surface.RESPONSES: _responses,
    Surface.MESSAGES: _messages,
    Surface.EMBEDDINGS: _embeddings,
    Surface.FIM: _fim,
    Surface.COMPLETIONS: _completions,
}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        # In a list, as deep as it will lie in `PromptSubmitted`; and one value only, so that nothing can follow it.
        (body,) = from_json(b"[" + raw + b"]", allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {_without_values(error)}.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _without_values(error: ValueError) -> str:
    text = str(error)
    return text if len(text) < 120 and "line" in text else "it does not hold one value"
