"""Microdollars as people write them. Pure."""

from decimal import Decimal, InvalidOperation

from libs.pricing.cost import MILLION

MOST_USD = 1_000_000_000


def usd(microdollars: int) -> str:
    """US dollars with all six decimal places: ``"12.340000"``."""
    sign = "-" if microdollars < 0 else ""
    return f"{sign}{abs(microdollars) // MILLION}.{abs(microdollars) % MILLION:06d}"


def parse_usd(text: str) -> int:
    """Microdollars of an amount in US dollars.

    Raises:
        ValueError: not a number, finer than a microdollar, or beyond a billion dollars.
    """
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"an amount is a number of US dollars, for example 10.00; not {text[:40]!r}") from None
    if not amount.is_finite() or abs(amount) > MOST_USD:
        raise ValueError("an amount is at most a billion US dollars")
    microdollars = amount * MILLION
    if microdollars != microdollars.to_integral_value():
        raise ValueError("an amount has at most six decimal places: a microdollar is the least there is")
    return int(microdollars)
