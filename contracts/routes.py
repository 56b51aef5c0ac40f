"""``gateway.routes.v1``: what the router made of the three decisions."""

from .decisions import QuotaWindow, SealedGrant
from .record import EpochMs, Record, Refusal, ReplyAddress, RequestId, Value
from .requests import RequestAccepted


class _AboutRequest(Record):
    request: RequestAccepted

    @property
    def request_id(self) -> RequestId:
        """Of the request that it answers."""
        return self.request.request_id

    @property
    def reply_to(self) -> ReplyAddress:
        """Where its answer goes."""
        return self.request.reply_to

    @property
    def event_subject(self) -> str:
        return self.request_id


class Fallback(Value):
    """Where to turn if the provider before fails without a byte."""

    provider_id: str
    upstream_model: str
    grant: SealedGrant


class RoutePlanned(_AboutRequest):
    """Call this provider for this request, with this key."""

    provider_id: str
    upstream_model: str
    grant: SealedGrant
    fallbacks: list[Fallback] = []
    """Never for a user's own key."""
    windows: list[QuotaWindow] = []
    reserved_microdollars: int | None = None
    """None where nobody pays here."""
    planned_at_ms: EpochMs


class RequestRejected(_AboutRequest):
    """No provider will be called. The relay, as the one writer of outcomes, tells the client and the books."""

    refusal: Refusal
    failed: bool = False
    """True where Sluice, not a rule, is the reason: a decision that never came, a record that was broken."""
    windows: list[QuotaWindow] = []
    rejected_at_ms: EpochMs


Route = RoutePlanned | RequestRejected
