"""From usage to a charge. Pure."""

from contracts.charges import ChargePosted
from contracts.usage import UsageRecorded
from libs.pricing.charging import Cost


def charge(usage: UsageRecorded, cost: Cost, posted_at_ms: int) -> ChargePosted:
    """The charge of one request."""
    return ChargePosted(
        charge_id=usage.request_id,
        subject=usage.subject,
        account_id=usage.caller.account_id,
        organization_id=usage.caller.organization_id,
        key_fingerprint=usage.caller.key_fingerprint,
        model=usage.model,
        provider_id=usage.provider_id,
        outcome=usage.outcome,
        tokens=usage.tokens,
        quantities=usage.quantities,
        estimated=usage.estimated,
        estimated_from=usage.estimated_from,
        byok=usage.byok,
        cost_microdollars=cost.microdollars,
        catalog_version=usage.catalog_version,
        price_version=cost.price_version,
        accepted_at_ms=usage.accepted_at_ms,
        labels=usage.labels,
        posted_at_ms=posted_at_ms,
    )
