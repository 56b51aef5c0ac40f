"""Who pays for a request, and how much. Pure: rate-limit settles by it, metering charges by it."""

from collections.abc import Sequence

from contracts.prices import Price
from contracts.quantities import Quantity
from contracts.usage import TokenUsage, UsageRecorded
from libs.pricing.cost import cost_microdollars

UNPRICED = "unpriced"
"""The price version of usage whose model had no price; an operator has to look at it."""


def cost_of(usage: UsageRecorded) -> tuple[int, str]:
    """The cost in microdollars and the price's version: nothing where it is free, paid to the provider directly, or
    used nothing.
    """
    cost, version = cost_in(usage.tokens, usage.quantities, usage.price, byok=usage.byok, free=usage.free)
    if usage.cached_percent is not None:
        return cost * usage.cached_percent // 100, "cached" if not usage.cached_percent else version
    return cost, version


def cost_in(
    tokens: TokenUsage, quantities: Sequence[Quantity], price: Price | None, *, byok: bool, free: bool
) -> tuple[int, str]:
    """The same of what has not been recorded yet."""
    if byok:
        return 0, "byok"
    if free:
        return 0, "free"
    if not tokens.input_tokens and not tokens.output_tokens and not quantities:
        return 0, "nothing used"
    if price is None:
        return 0, UNPRICED
    return cost_microdollars(price, tokens, quantities), price.version
