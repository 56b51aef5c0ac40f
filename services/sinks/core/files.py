"""Files of rows: what they are called, and which records they have.

A file's name says which offsets of which partition it has, and from when to when they are. So nothing but the names is
needed to know what is there: who begins anew, killed or backfilled, passes over what a file has. A log that was made
anew begins with offset 0 again, but not with the same times.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from libs.parquet import parquet
from services.sinks.core.events import Event
from services.sinks.core.rows import NUMBERS, TEXT_COLUMNS, row_of

_NAME = re.compile(
    r"(?P<folder>[\w./-]+)/partition-(?P<partition>\d{3,6})/(?P<first>\d{20})-(?P<last>\d{20})"
    r"_(?P<from_ms>\d{13})-(?P<to_ms>\d{13})(?:_until-(?P<until>\d{4}-\d\d-\d\d))?\.parquet"
)


MOST_SPAN = 100_000
"""Offsets from a file's first row to its last, so that no file with an offset has a much lower one in its name."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event and where it stands on the log."""

    event: Event
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Slot:
    """Rows that may be in one file."""

    folder: str
    """Such as ``charges``."""
    partition: int
    until: date | None = None
    """The day on which such files are deleted."""


@dataclass(frozen=True, slots=True)
class Span:
    """The rows of a file: all of its slot between two offsets."""

    slot: Slot
    first: int
    last: int
    from_ms: int
    to_ms: int

    @property
    def name(self) -> str:
        """Of the file, below the sink's own folder."""
        until = f"_until-{self.slot.until}" if self.slot.until else ""
        name = f"{self.first:020}-{self.last:020}_{self.from_ms:013}-{self.to_ms:013}{until}.parquet"
        return f"{folder_of(self.slot.folder, self.slot.partition)}{name}"

    def has(self, slot: Slot, row: Row) -> bool:
        """The file has this row."""
        return (
            self.slot == slot
            and self.first <= row.offset <= self.last
            and self.from_ms <= row.event.at_ms <= self.to_ms
        )


def folder_of(folder: str, partition: int) -> str:
    """Where the files of a partition are."""
    return f"{folder}/partition-{partition:03}/"


def begins_after(offset: int) -> str:
    """A name that comes before those of all files that may have this offset or a later one, in their folder."""
    return f"{max(0, offset - MOST_SPAN):020}"


def span_of(slot: Slot, rows: Sequence[Row]) -> Span:
    """What a file of these rows, of one slot and in their order, has."""
    times = [row.event.at_ms for row in rows]
    return Span(slot, rows[0].offset, rows[-1].offset, min(times), max(times))


def parsed(name: str) -> Span | None:
    """A file's name; None where it is none of ours."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    until = None
    if found["until"]:
        try:
            until = date.fromisoformat(found["until"])
        except ValueError:
            return None
    slot = Slot(found["folder"], int(found["partition"]), until)
    return Span(slot, int(found["first"]), int(found["last"]), int(found["from_ms"]), int(found["to_ms"]))


def spans_of(names: Iterable[str]) -> list[Span]:
    """Of all names that are ours."""
    return [span for span in map(parsed, names) if span]


def table_of(rows: Sequence[Row]) -> bytes:
    """A Parquet file: the columns of `row_of`, one row an event."""
    found = [row_of(row.event) for row in rows]
    texts = {name: [str(row[name]) for row in found] for name in TEXT_COLUMNS}
    numbers = {name: [int(row[name]) for row in found] for name in NUMBERS}
    return parquet(texts, numbers, compressed=True)
