"""From usage to a charge. Pure."""

from datetime import UTC, datetime

from contracts.charges import ChargePosted
from contracts.usage import UsageRecorded
from libs.config.catalog import Catalog, NoPriceError, cost_microdollars

UNPRICED = "unpriced"
"""The price version of an entry whose model has no price any more; an operator has to look at it."""


def charge(usage: UsageRecorded, catalog: Catalog, posted_at_ms: int) -> ChargePosted:
    """What one request costs: nothing if it is free, paid to the provider directly, or used no tokens."""
    cost, version = _price(usage, catalog)
    return ChargePosted(
        charge_id=usage.request_id,
        subject=usage.subject,
        account_id=usage.caller.account_id,
        organization_id=usage.caller.organization_id,
        model=usage.model,
        provider_id=usage.provider_id,
        outcome=usage.outcome,
        tokens=usage.tokens,
        estimated=usage.estimated,
        byok=usage.byok,
        cost_microdollars=cost,
        price_version=version,
        posted_at_ms=posted_at_ms,
    )


def _price(usage: UsageRecorded, catalog: Catalog) -> tuple[int, str]:
    if usage.byok:
        return 0, "byok"
    if usage.free:
        return 0, "free"
    if not usage.tokens.input_tokens and not usage.tokens.output_tokens:
        return 0, "no tokens"
    offer = catalog.find(usage.model)
    if offer is None:
        return 0, UNPRICED
    try:
        return cost_microdollars(offer, usage.tokens, datetime.fromtimestamp(usage.accepted_at_ms / 1000, UTC))
    except NoPriceError:
        return 0, UNPRICED
