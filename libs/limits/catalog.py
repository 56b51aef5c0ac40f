"""What limits count, over which windows: the one list that configuration, API, counters and documents come from. Pure.

A new quantity is one entry of `QUANTITIES`, beside the field of `contracts.decisions.Held` that keeps it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.decisions import Held
from contracts.requests import RequestAccepted
from contracts.usage import UsageRecorded
from contracts.word import Word
from libs.pricing.usd import parse_usd, usd

MINUTE_MS = 60_000
DAY_MS = 86_400_000
MOST = 2**53
"""No limit is higher: it is shown in JSON."""
CONCURRENT = "concurrent"


class Window(Word):
    """How long something counts. A minute is any 60 seconds that one looks at; the others begin with the UTC hour,
    day, week (Monday, ISO 8601) or month of the request's acceptance.
    """

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start_ms(self, at_ms: int) -> int:
        """When the window that holds a moment began."""
        if self is Window.MONTH:
            day = datetime.fromtimestamp(at_ms / 1000, UTC)
            return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp() * 1000)
        if self is Window.WEEK:
            # 1970-01-01 was a Thursday.
            return at_ms - (at_ms + 3 * DAY_MS) % (7 * DAY_MS)
        return at_ms - at_ms % _LENGTH_MS[self]

    def end_ms(self, at_ms: int) -> int:
        """When it ends."""
        start_ms = self.start_ms(at_ms)
        # No month has more than 31 days, and none that follows fewer than four.
        return self.start_ms(start_ms + 32 * DAY_MS) if self is Window.MONTH else start_ms + _LENGTH_MS[self]


_LENGTH_MS = {
    Window.MINUTE: MINUTE_MS,
    Window.HOUR: 60 * MINUTE_MS,
    Window.DAY: DAY_MS,
    Window.WEEK: 7 * DAY_MS,
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that requests use."""

    name: str
    used: Callable[[UsageRecorded, int], int]
    """What a request did use; given its cost in microdollars, too."""
    held_as: str | None = None
    """The field of `Held` with the most that it can use; None: each counts as one."""
    most: Callable[[RequestAccepted], int] | None = None
    """What that field is; None where it takes more than the request to know."""
    returns: bool = True
    """A request may use less than it held, so that others need but wait."""


REQUESTS = Quantity("requests", lambda _usage, _cost: 1, returns=False)
TOKENS = Quantity(
    "tokens",
    lambda usage, _cost: usage.tokens.input_tokens + usage.tokens.output_tokens,
    held_as="tokens",
    most=lambda request: request.input_tokens_most + request.output_tokens_most,
)
USD = Quantity("usd", lambda _usage, cost: cost, held_as="microdollars")
"""Counted in microdollars; people write US dollars."""
QUANTITIES = (REQUESTS, TOKENS, USD)

Amounts = Mapping[str, int]
"""By the name of a quantity."""


def fields_of(request: RequestAccepted) -> dict[str, int]:
    """The fields of `Held` that follow from a request."""
    return {one.held_as: one.most(request) for one in QUANTITIES if one.held_as and one.most}


def amounts_held(held: Held) -> Amounts:
    """The most that a request can use of everything."""
    return {one.name: getattr(held, one.held_as) if one.held_as else 1 for one in QUANTITIES}


def amounts_used(usage: UsageRecorded, microdollars: int) -> Amounts:
    """What it did use."""
    return {quantity.name: quantity.used(usage, microdollars) for quantity in QUANTITIES}


@dataclass(frozen=True, slots=True)
class Meter:
    """A quantity, and the window in which it counts; without one it counts while it is held."""

    name: str
    quantity: Quantity
    window: Window | None


METERS: Mapping[str, Meter] = {
    meter.name: meter
    for meter in (
        Meter(CONCURRENT, REQUESTS, None),
        *(Meter(f"{one.name}_per_{window}", one, window) for one in QUANTITIES for window in Window),
    )
}
"""All that can be limited, by the name that configuration, API and refusals have for it."""
BALANCE = Meter("balance", USD, None)
"""The owner's credit: its limit is what the ledger says."""


def parse_amount(meter: str, value: Any) -> int:
    """The limit of a meter as people write it: a whole number, or US dollars as a decimal string.

    Raises:
        ValueError: no such meter, or no such amount.
    """
    known = METERS.get(meter)
    if known is None:
        raise ValueError(f"there is no limit {meter[:60]!r}; there are {', '.join(METERS)}")
    try:
        amount = parse_usd(str(value)) if known.quantity is USD else int(str(value))
    except ValueError:
        raise ValueError(
            f"{meter} is a whole number" if known.quantity is not USD else f"{meter}: US dollars"
        ) from None
    if not 0 <= amount <= MOST:
        raise ValueError(f"{meter} is from 0 to {MOST}")
    return amount


def shown_amount(meter: Meter, amount: int) -> int | str:
    """The inverse of `parse_amount`."""
    return usd(amount) if meter.quantity is USD else amount
