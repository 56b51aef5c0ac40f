"""Limits by meter, as configuration has them."""

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from libs.limits.catalog import METERS, parse_amount, shown_amount


def _meters(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {str(name): parse_amount(str(name), most) for name, most in value.items() if most is not None}


def _shown_meters(value: dict[str, int]) -> dict[str, int | str]:
    """As people write them: what is dumped can be read again."""
    return {name: shown_amount(METERS[name], most) for name, most in value.items()}


Meters = Annotated[dict[str, int], BeforeValidator(_meters), PlainSerializer(_shown_meters, when_used="json")]
"""Limits of paid requests by meter (`libs.limits.catalog`); of money in US dollars, as a decimal string, kept in
microdollars. What is not named is without a limit."""
