"""``gateway.outcomes.v1``: how providers do, for all routers. Hints, not books: a report may be lost."""

from typing import Annotated

from pydantic import Field

from .record import EpochMs, Record, Value

Count = Annotated[int, Field(ge=0)]


class Pace(Value):
    """How fast a model came from a provider: means over the streams of one report."""

    first_byte_ms: Count
    tokens_per_s: Annotated[float, Field(ge=0)] | None = None
    """Of output, after the first byte; None where no stream was long enough."""


class OutcomesCounted(Record):
    """What one relay saw of one provider since its last report, with the gateway's keys.

    A user's own key has its own limits, region and account: what becomes of it says nothing about the provider.
    """

    relay_id: str
    provider_id: str
    answered: Count = 0
    """Began an answer, or refused the request with a reason."""
    failed: Count = 0
    """No connection, 5xx, a timeout, nonsense, a refusal of the gateway's key; or broke off what it had begun."""
    limited: Count = 0
    """429."""
    paces: dict[str, Pace] = {}
    """By the provider's name of the model."""
    rests: dict[int, EpochMs] = {}
    """Keys of the gateway that the provider has had enough of, or refuses, by number: not to be used until then."""
    counted_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.provider_id

    @property
    def event_id(self) -> str:
        return f"{self.relay_id}/{self.provider_id}/{self.counted_at_ms}"
