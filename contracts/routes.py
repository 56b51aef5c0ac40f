"""``gateway.routes.v1``: what the router made of the three decisions."""

from contracts.decisions import QuotaWindow, SealedGrant
from contracts.record import EpochMs, Record, Refusal, RequestId
from contracts.requests import RequestAccepted


class Fallback(Record):
    """Where to turn if the provider before fails without a byte."""

    provider_id: str
    upstream_model: str
    grant: SealedGrant


class RoutePlanned(Record):
    """Call this provider for this request, with this key."""

    request: RequestAccepted
    provider_id: str
    upstream_model: str
    grant: SealedGrant
    fallbacks: list[Fallback] = []
    """Never for a user's own key."""
    windows: list[QuotaWindow] = []
    reserved_microdollars: int | None = None
    """None where nobody pays here."""
    planned_at_ms: EpochMs

    @property
    def request_id(self) -> RequestId:
        return self.request.request_id


class RequestRejected(Record):
    """No provider will be called. The relay, as the one writer of outcomes, tells the client and the books."""

    request: RequestAccepted
    refusal: Refusal
    failed: bool = False
    """True where Sluice, not a rule, is the reason: a decision that never came, a record that was broken."""
    windows: list[QuotaWindow] = []
    rejected_at_ms: EpochMs

    @property
    def request_id(self) -> RequestId:
        return self.request.request_id
