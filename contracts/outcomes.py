"""``gateway.outcomes.v1``: how providers do, for all routers. Hints, not books: a report may be lost.

``gateway.provider-key-uses.v1``: what the gateway's own keys were used for, where they have quotas.
"""

from typing import Annotated

from pydantic import Field

from .record import EpochMs, Record, StateRecord, Value, empty

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
    paces: dict[str, Pace] = empty(dict)
    """By the provider's name of the model."""
    rests: dict[int, EpochMs] = empty(dict)
    """Keys of the gateway that the provider has had enough of, or refuses, by number: not to be used until then."""
    counted_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.provider_id

    @property
    def event_id(self) -> str:
        return f"{self.relay_id}/{self.provider_id}/{self.counted_at_ms}"


class KeyUse(Value):
    """What was used in some time."""

    requests: Count = 0
    tokens: Count = 0
    """Input and output."""
    microdollars: Count = 0


class ProviderKeyUsed(StateRecord):
    """What one relay has used one of the gateway's keys for in an hour, so far. Sums only grow: of two records of the
    same hour the higher is newer. A relay that starts anew has another ID."""

    relay_id: str
    provider_id: str
    variable: str
    """The environment variable that holds the key: it names the key, whatever others are added."""
    hour_at_ms: EpochMs
    """When the UTC hour began."""
    hour: KeyUse
    minute_at_ms: EpochMs
    minute: KeyUse
    """Of the newest minute of that hour in which it was used."""

    @property
    def state_key(self) -> str:
        return f"{self.provider_id}/{self.variable}/{self.relay_id}/{self.hour_at_ms}"
