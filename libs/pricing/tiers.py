"""What a price is where the provider ran a request in a tier of its own price. Pure."""

from contracts.prices import Price
from contracts.usage import ServiceTier


def at_tier(price: Price | None, tier: ServiceTier | None) -> Price | None:
    """The price of a tier, under a version that names it; the ordinary one where the tier has no other.

    Rates are rounded half up to whole microdollars per million tokens.
    """
    if price is None or tier is None or price.flex_percent is None:
        return price
    percent = price.flex_percent

    def part(rate: int | None) -> int | None:
        return None if rate is None else (rate * percent + 50) // 100

    tiers = [
        rates.model_copy(
            update={name: part(rate) for name, rate in rates.model_dump().items() if name != "above_input_tokens"}
        )
        for rates in price.tiers
    ]
    units = [unit.model_copy(update={"rate": part(unit.rate)}) for unit in price.units]
    return Price(version=f"{price.version}/{tier}{percent}", tiers=tiers, units=units)
