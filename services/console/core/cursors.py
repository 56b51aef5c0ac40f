"""Where a page of a list ends, as a text that the caller gives back for the next one. Pure."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Position:
    """Of a row in a list that is sorted by time, then by ID."""

    at: datetime
    id: str

    def cursor(self) -> str:
        """For a query parameter."""
        return base64.urlsafe_b64encode(f"{self.at.isoformat()} {self.id}".encode()).rstrip(b"=").decode()


def position(cursor: str) -> Position:
    """The inverse of `Position.cursor`.

    Raises:
        ValueError: it is no cursor.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise ValueError("not a cursor") from None
    at, _, row_id = text.partition(" ")
    moment = datetime.fromisoformat(at)
    if not row_id or moment.tzinfo is None or "\0" in row_id:
        raise ValueError("not a cursor")
    return Position(moment.astimezone(UTC), row_id)


@dataclass(frozen=True, slots=True)
class Slice:
    """What of a list is asked for; the store reads one row more, by which it is seen whether there are more."""

    limit: int
    after: Position | None = None

    @property
    def at(self) -> object:
        """For SQL: the time after which rows are wanted, or None."""
        return self.after and self.after.at

    @property
    def id(self) -> str:
        """For SQL, beside `at`."""
        return self.after.id if self.after else ""

    @property
    def rows(self) -> int:
        """For SQL: how many rows to read."""
        return self.limit + 1
