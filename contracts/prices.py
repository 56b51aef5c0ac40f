"""What a token or another unit costs. A price travels with its request: what was promised is what is charged."""

from typing import Annotated

from pydantic import Field

from .quantities import KIND, Unit
from .record import Value

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
    units: list[UnitRate] = []
    """Of what is not counted in tokens."""
