"""From usage to a charge. Pure."""

from contracts.charges import ChargePosted
from contracts.usage import UsageRecorded
from libs.pricing.cost import cost_microdollars

UNPRICED = "unpriced"
"""The price version of an entry whose model had no price; an operator has to look at it."""


def charge(usage: UsageRecorded, posted_at_ms: int) -> ChargePosted:
    """What one request costs: nothing if it is free, paid to the provider directly, or used no tokens."""
    cost, version = _cost(usage)
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
        estimated=usage.estimated,
        byok=usage.byok,
        cost_microdollars=cost,
        price_version=version,
        accepted_at_ms=usage.accepted_at_ms,
        posted_at_ms=posted_at_ms,
    )


def _cost(usage: UsageRecorded) -> tuple[int, str]:
    if usage.byok:
        return 0, "byok"
    if usage.free:
        return 0, "free"
    if not usage.tokens.input_tokens and not usage.tokens.output_tokens:
        return 0, "no tokens"
    if usage.price is None:
        return 0, UNPRICED
    return cost_microdollars(usage.price, usage.tokens), usage.price.version
