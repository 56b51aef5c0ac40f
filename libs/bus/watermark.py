"""Up to where a partition may be committed while some of its records are still in work. Pure."""

import heapq


class Watermark:
    """The lowest offset of one partition that is not finished.

    Records are finished when they are handled, unless they were held; a held one is finished when released.
    """

    __slots__ = ("_heap", "_held", "_next")

    def __init__(self, position: int) -> None:
        self._next = position
        self._held: set[int] = set()
        self._heap: list[int] = []

    def passed(self, offset: int) -> None:
        """The record at ``offset`` was handled (or held before this call)."""
        if offset >= self._next:
            self._next = offset + 1

    def hold(self, offset: int) -> None:
        """The record at ``offset`` stays in work after its handler returns."""
        if offset not in self._held:
            self._held.add(offset)
            heapq.heappush(self._heap, offset)

    def release(self, offset: int) -> None:
        """A held record is finished. Releasing what is not held does nothing."""
        self._held.discard(offset)

    @property
    def committable(self) -> int:
        """The offset to commit: that of the lowest held record, else the one after the last passed."""
        while self._heap and self._heap[0] not in self._held:
            heapq.heappop(self._heap)
        return min(self._heap[0], self._next) if self._heap else self._next
