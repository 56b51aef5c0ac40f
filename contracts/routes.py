"""``gateway.routes.v1``: what the router made of the three decisions, with what the relay needs of the request."""

from typing import Annotated

from pydantic import Field

from .decisions import QuotaWindow, SealedGrant
from .record import EpochMs, Refusal, Value, empty
from .requests import AddressedRequest, CallableRequest


class Target(Value):
    """A model at a provider, and the key to call it with."""

    provider_id: str
    upstream_model: str
    model: str | None = None
    """A model that stands in for the request's; None: that itself."""
    grant: SealedGrant


class RoutePlanned(CallableRequest):
    """Call these providers for this request, one after the other until one answers."""

    targets: Annotated[list[Target], Field(min_length=1)]
    """More than one: whoever fails before its first byte is followed by the next. Nobody follows a user's own key."""
    hook: SealedGrant | None = None
    """Of the webhook that the caller's organization has; whether it is asked, its rules say."""
    windows: list[QuotaWindow] = empty(list)
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """See `QuotaReserved.waited_ms`."""
    reserved_microdollars: int | None = None
    """None where nobody pays here."""
    planned_at_ms: EpochMs


class RequestRejected(AddressedRequest):
    """No provider will be called. The relay, as the one writer of outcomes, publishes its end."""

    refusal: Refusal
    failed: bool = False
    """True where Sluice, not a rule, is the reason: a decision that never came, a record that was broken."""
    windows: list[QuotaWindow] = empty(list)
    waited_ms: Annotated[int, Field(ge=0)] = 0
    """See `QuotaReserved.waited_ms`."""
    rejected_at_ms: EpochMs


Route = RoutePlanned | RequestRejected
