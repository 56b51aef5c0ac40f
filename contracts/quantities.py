"""What a request uses beside tokens: so many of a unit."""

from typing import Annotated

from pydantic import Field

from .record import Value
from .word import Word


class Unit(Word):
    """What is counted, and has a price of its own."""

    IMAGE = "image"
    SECOND = "second"
    """Of a recording; one that has begun counts."""
    CHARACTER = "character"
    SEARCH = "search"


KIND = r"^([a-z0-9_.-]{1,40}(/[a-z0-9_.-]{1,40}){0,3})?$"


class Quantity(Value):
    """So many of one unit."""

    unit: Unit
    amount: Annotated[int, Field(ge=0, le=2**40)]
    kind: Annotated[str, Field(pattern=KIND)] = ""
    """What the price may depend on, for example ``hd/1024x1792``; empty where nothing is known of it."""
