"""Free models' windows: a sliding counter of requests, for each subject. Pure: times and offsets are arguments.

A subject's state is its admitted requests of the last window, each with its offset in ``gateway.requests``. One writer
holds a subject, so no lock is needed; a request that is delivered again is answered as it was the first time.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.quota import Admission
from services.rate_limit.core.counters import Sliding


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` admissions in any ``window_ms`` milliseconds."""

    name: str
    count: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one request, and the state of the window after it."""

    admitted: bool
    remaining: int
    reset_ms: int
    """Until the window is empty again, or, for a refused request, until one more will fit."""
    again: bool = False
    """The request had been decided before; the window did not change."""


class Window:
    """The admissions of one subject, oldest first."""

    __slots__ = ("_counter", "_limit", "_offsets", "applied_offset")

    def __init__(self, limit: Limit, applied_offset: int = -1, admissions: Iterable[Admission] = ()) -> None:
        self._limit = limit
        self._counter = Sliding(limit.window_ms)
        self._offsets: deque[int] = deque()
        self.applied_offset = applied_offset
        for admission in admissions:
            self._count(admission.at_ms, admission.offset)

    @property
    def admissions(self) -> list[Admission]:
        """As the changelog has them."""
        return [
            Admission(at_ms=taken.at_ms, offset=offset)
            for taken, offset in zip(self._counter.recent, self._offsets, strict=True)
        ]

    def admit(self, *, at_ms: int, offset: int) -> Verdict:
        """Decides one request and counts it if it is admitted.

        Args:
            at_ms: the request's own time. A subject's time never runs backwards: an earlier one counts as the last.
            offset: in its partition; a redelivery is known by it.
        """
        if offset <= self.applied_offset:
            return Verdict(self._was_admitted(offset), self._limit.count - len(self._offsets), 0, again=True)
        self.applied_offset = offset
        recent = self._counter.recent
        now_ms = max(at_ms, recent[-1].at_ms) if recent else at_ms
        left = self._limit.count - self._counter.used(now_ms)
        while len(self._offsets) > len(recent):
            self._offsets.popleft()
        if left <= 0:
            return Verdict(False, 0, self._counter.wait_ms(now_ms, 1))
        self._count(now_ms, offset)
        return Verdict(True, left - 1, recent[0].at_ms + self._limit.window_ms - now_ms)

    def expired(self, now_ms: int) -> bool:
        """True if nothing of the window matters any more."""
        return self._counter.reset_ms(now_ms) <= 0

    def _count(self, at_ms: int, offset: int) -> None:
        self._counter.settle(self._counter.take(at_ms, 1), 1)
        self._offsets.append(offset)

    def _was_admitted(self, offset: int) -> bool:
        index = bisect_left(self._offsets, offset)
        return index < len(self._offsets) and self._offsets[index] == offset
