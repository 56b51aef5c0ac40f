"""What is measured of rate-limit's state, when metrics are read."""

from collections.abc import Iterator

from libs.telemetry.instruments import HELD, HOLDS, LINES
from libs.telemetry.metrics import Labels
from services.rate_limit.core.book import Book
from services.rate_limit.partition import Partitions

MOST_SUMMED = 20_000
"""Owners that are looked at for one reading: some milliseconds, in which nobody is decided."""


def observe(partitions: Partitions) -> None:
    """Shows these partitions from now on, in the place of those of an earlier assignment."""

    def books() -> Iterator[Book]:
        left = MOST_SUMMED
        for part in list(partitions.values()):
            if (left := left - len(part.books)) < 0:
                return
            yield from list(part.books.values())

    def one(value: int) -> list[tuple[float, Labels]]:
        return [(value, ())]

    HOLDS.observe("rate-limit", lambda: one(sum(book.running for book in books())))
    HELD.observe("rate-limit", lambda: one(sum(book.held for book in books())))
    LINES.observe("rate-limit", lambda: one(sum(part.waiting for part in list(partitions.values()))))
