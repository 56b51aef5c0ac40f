"""What a token or another unit costs. Versions of the catalog hold prices; records name the version."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from .quantities import KIND, Unit
from .record import EpochMs, Value, empty

DAY_S = 24 * 3600

Rate = Annotated[int, Field(ge=0)]
"""Microdollars per million tokens, which is USD per million tokens times 1,000,000; always a whole number. Of other
units likewise."""


class Rates(Value):
    """Prices by the kind of token. What has no rate of its own (None) is priced as ``input`` or ``output``."""

    above_input_tokens: Annotated[int, Field(ge=0)] = 0
    """These rates hold for the whole request where it has more input tokens than this."""
    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    input_image: Rate | None = None
    input_audio: Rate | None = None
    reasoning: Rate | None = None
    output_image: Rate | None = None
    output_audio: Rate | None = None


class UnitRate(Value):
    """The price of a unit, or of one kind of it. Of several that fit, that of the most particular kind holds."""

    unit: Unit
    kind: Annotated[str, Field(pattern=KIND)] = ""
    """Parts that a quantity's kind must have; empty: any kind."""
    rate: Rate


class Price(Value):
    """A model's price at one moment, under a version that names its content."""

    version: str
    tiers: Annotated[list[Rates], Field(min_length=1)]
    """By ascending ``above_input_tokens``; the first begins at 0."""
    units: list[UnitRate] = empty(list)
    """Of what is not counted in tokens."""
    flex_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Of this price, for what the provider ran when it had room (`contracts.usage.ServiceTier`); None: all of it."""


class PriceRule(Value):
    """A price, and when it holds. Of several that hold, the last one counts."""

    price: Price
    from_ms: EpochMs = 0
    daily_from_s: Annotated[int, Field(ge=0, lt=DAY_S)] | None = None
    """Seconds after midnight UTC; with ``daily_until_s``, which may be the smaller: then it is past midnight."""
    daily_until_s: Annotated[int, Field(ge=0, le=DAY_S)] | None = None

    def holds(self, at_ms: int) -> bool:
        """Whether it does at a time."""
        if at_ms < self.from_ms:
            return False
        if self.daily_from_s is None or self.daily_until_s is None:
            return True
        second = at_ms // 1000 % DAY_S
        if self.daily_until_s < self.daily_from_s:
            return second >= self.daily_from_s or second < self.daily_until_s
        return self.daily_from_s <= second < self.daily_until_s


def price_at(rules: Sequence[PriceRule], at_ms: int) -> Price | None:
    """The price at a time; None where there is none."""
    if len(rules) == 1:
        return rules[0].price
    return next((rule.price for rule in reversed(rules) if rule.holds(at_ms)), rules[0].price if rules else None)
