"""Who pays for a request, and how much. Pure: rate-limit settles by it, metering charges by it."""

from collections.abc import Sequence
from typing import NamedTuple

from contracts.prices import Price
from contracts.quantities import Quantity
from contracts.usage import TokenUsage, UsageRecorded
from libs.pricing.cost import cost_microdollars
from libs.pricing.tiers import at_tier

UNPRICED = "unpriced"
"""The price version of usage whose model had no price, or named a catalog that is not known; an operator has to look
at it: ``./sluice prices reprice`` charges it by another version."""


class Cost(NamedTuple):
    """What a request costs, and by what."""

    microdollars: int
    price_version: str
    price: Price | None = None
    """None where none was needed, or there is none."""


def cost_of(usage: UsageRecorded, price: Price | None) -> Cost:
    """The cost: nothing where it is free, paid to the provider directly, or used nothing.

    Args:
        price: of the model at the provider that answered, when the request was accepted.
    """
    price = at_tier(price, usage.service_tier)
    cost = cost_in(usage.tokens, usage.quantities, price, byok=usage.byok, free=usage.free)
    if usage.cached_percent is None:
        return cost
    version = cost.price_version if usage.cached_percent else "cached"
    return Cost(cost.microdollars * usage.cached_percent // 100, version, cost.price)


def cost_in(tokens: TokenUsage, quantities: Sequence[Quantity], price: Price | None, *, byok: bool, free: bool) -> Cost:
    """The same of what has not been recorded yet."""
    if byok:
        return Cost(0, "byok")
    if free:
        return Cost(0, "free")
    if not tokens.input_tokens and not tokens.output_tokens and not quantities:
        return Cost(0, "nothing used")
    if price is None:
        return Cost(0, UNPRICED)
    return Cost(cost_microdollars(price, tokens, quantities), price.version, price)
