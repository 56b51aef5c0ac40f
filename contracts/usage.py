"""``gateway.usage.v1``: what a request consumed. One record a request, whatever its outcome."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from .quantities import Quantity
from .record import EpochMs, Value, empty
from .replies import Outcome
from .requests import RequestFacts

MOST_TOKENS = 2**40
"""Of one kind, of one request: far beyond any model, and at any price it fits the ledger's columns."""
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
EstimatedFrom = Literal["text", "bounds", "time"]
"""``text``: prompt and delivered text, four bytes a token. ``bounds``: the most that the input can have, and what was
delivered at two bytes a token. ``time``: as bounds, but the time since the call at the model's pace, which is more."""

ServiceTier = Literal["flex"]
"""``flex``: run when its provider had room, for less (OpenAI, "Flex processing"; Google, "Flex inference")."""


class TokenUsage(Value):
    """The provider's own counts. ``input_tokens`` and ``output_tokens`` include all others of their side."""

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    input_image_tokens: Tokens = 0
    output_image_tokens: Tokens = 0
    input_audio_tokens: Tokens = 0
    output_audio_tokens: Tokens = 0


def summed(counts: Sequence[TokenUsage | None]) -> TokenUsage | None:
    """The counts of several answers as one; None where those of any are missing."""
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    return added(*known)


def added(*counts: TokenUsage) -> TokenUsage:
    """The sum, by kind."""
    return TokenUsage(
        **{name: min(sum(getattr(count, name) for count in counts), MOST_TOKENS) for name in TokenUsage.model_fields}
    )


def plausible(count: Any) -> bool:
    """A provider's count can be one; a sum of a few still fits `Tokens`."""
    return isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_TOKENS // 8


class UsageRecorded(RequestFacts):
    """The books' only source: who used what, how it ended and how long it took."""

    provider_id: str | None = None
    upstream_model: str | None = None
    outcome: Outcome
    status: int
    tokens: TokenUsage = TokenUsage()
    quantities: list[Quantity] = empty(list)
    """Of other units than tokens."""
    estimated: bool = False
    """True where the provider gave no counts."""
    estimated_from: EstimatedFrom | None = None
    """What was counted instead."""
    byok: bool = False
    reserved_microdollars: int | None = None
    """What was held for it; None where nothing was."""
    attempts: Annotated[int, Field(ge=0)] = 0
    tried: list[str] = empty(list)
    """Providers that failed before, as ``provider=status``."""
    routed_at_ms: EpochMs | None = None
    """When the router had all verdicts."""
    called_at_ms: EpochMs | None = None
    """When the provider was called that was called last."""
    ended_at_ms: EpochMs
    first_byte_ms: Annotated[int, Field(ge=0)] | None = None
    """From the call of the provider to its first byte."""
    streamed: bool = False
    cached_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """The answer came from the cache, and so much of what it would have cost is charged; None: of a provider."""
    service_tier: ServiceTier | None = None
    """Where the provider has a price for it; None: its ordinary one."""
