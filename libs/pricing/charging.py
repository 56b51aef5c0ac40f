"""Who pays for a request, and how much. Pure: rate-limit settles by it, metering charges by it."""

from contracts.usage import UsageRecorded
from libs.pricing.cost import cost_microdollars

UNPRICED = "unpriced"
"""The price version of usage whose model had no price; an operator has to look at it."""


def cost_of(usage: UsageRecorded) -> tuple[int, str]:
    """The cost in microdollars and the price's version: nothing where it is free, paid to the provider directly, or
    used nothing.
    """
    if usage.byok:
        return 0, "byok"
    if usage.free:
        return 0, "free"
    if not usage.tokens.input_tokens and not usage.tokens.output_tokens and not usage.quantities:
        return 0, "nothing used"
    if usage.price is None:
        return 0, UNPRICED
    return cost_microdollars(usage.price, usage.tokens, usage.quantities), usage.price.version
