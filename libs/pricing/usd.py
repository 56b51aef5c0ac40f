"""Microdollars as people write them. Pure."""

from decimal import Decimal, InvalidOperation

from libs.pricing.cost import MILLION

MOST_USD = 1_000_000_000


def usd(microdollars: int) -> str:
    """US dollars with all six decimal places: ``"12.340000"``."""
    sign = "-" if microdollars < 0 else ""
    return f"{sign}{abs(microdollars) // MILLION}.{abs(microdollars) % MILLION:06d}"


def dollars(microdollars: int | Decimal) -> str:
    """As people read them, exact, and to the cent at the least: ``$1,234.00``, ``$0.125``."""
    amount = Decimal(microdollars) / MILLION
    whole, _, rest = f"{abs(amount).normalize():,f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{rest.ljust(2, '0')}"


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
