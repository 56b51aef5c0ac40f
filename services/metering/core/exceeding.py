"""Charges that are higher than what was held for them. Pure."""

from contracts.charges import ChargePosted
from contracts.credit import BalanceChanged, ReservationExceeded
from contracts.usage import UsageRecorded


def exceeded(
    usage: UsageRecorded, charge: ChargePosted, owner: str, balance: BalanceChanged | None
) -> ReservationExceeded | None:
    """The event for billing where a provider billed more than was reserved; None where it did not."""
    if usage.reserved_microdollars is None or charge.cost_microdollars <= usage.reserved_microdollars:
        return None
    return ReservationExceeded(
        request_id=usage.request_id,
        owner=owner,
        provider_id=usage.provider_id,
        model=usage.model,
        reserved_microdollars=usage.reserved_microdollars,
        cost_microdollars=charge.cost_microdollars,
        balance_microdollars=balance.balance_microdollars if balance else None,
        noticed_at_ms=charge.posted_at_ms,
    )
