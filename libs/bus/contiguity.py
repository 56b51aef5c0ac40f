"""No record is skipped, although the embedded broker may show a batch before an earlier one. Pure.

Tansu appends batches of several producers to one partition concurrently: for a moment a fetch can see the later
batch alone, and a client that goes on from there never sees the earlier. Apache Kafka shows no such gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

PATIENCE_S = 2.0
"""After this a gap is taken for what retention or compaction left."""


class HasOffset(Protocol):
    """A record of the log."""

    @property
    def offset(self) -> int: ...


R = TypeVar("R", bound=HasOffset)


@dataclass(frozen=True, slots=True)
class Checked(Generic[R]):
    """The records that may be taken now, and where to fetch again if some are missing after them."""

    records: Sequence[R]
    again_from: int | None


class Contiguity:
    """Watches one partition."""

    __slots__ = ("_gap", "next_offset")

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        self._gap: tuple[int, float] | None = None

    def check(self, records: Sequence[R], now_s: float) -> Checked[R]:
        """Takes what follows without a gap.

        Args:
            records: as fetched from ``next_offset`` on.
            now_s: monotonic seconds.
        """
        for index, record in enumerate(records):
            if record.offset > self.next_offset and not self._is_old(self.next_offset, now_s):
                return Checked(records[:index], self.next_offset)
            self.next_offset = record.offset + 1
        self._gap = None
        return Checked(records, None)

    def _is_old(self, offset: int, now_s: float) -> bool:
        if self._gap is None or self._gap[0] != offset:
            self._gap = (offset, now_s)
        return now_s - self._gap[1] >= PATIENCE_S
