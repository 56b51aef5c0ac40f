"""Requests that lack only what others of their owner hold, in the order in which they came. Pure.

Nobody overtakes: a request that needs what an earlier one waits for waits behind it. The first that is let in, or has
waited long enough, makes way.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.rate_limit.core.book import Key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waiter(Generic[T]):
    """One request."""

    request_id: str
    needs: frozenset[Key]
    """The counters that it takes from."""
    until_ms: int
    item: T


@dataclass(slots=True)
class Line(Generic[T]):
    """One owner's."""

    waiters: deque[Waiter[T]] = field(default_factory=deque)
    _lacking: set[Key] = field(default_factory=set)
    """What those before the end of the line lack."""

    def __len__(self) -> int:
        return len(self.waiters)

    def __contains__(self, request_id: str) -> bool:
        return any(waiter.request_id == request_id for waiter in self.waiters)

    def due(self, now_ms: int) -> bool:
        """Somebody has waited long enough."""
        return any(waiter.until_ms <= now_ms for waiter in self.waiters)

    def behind(self, needs: frozenset[Key]) -> frozenset[Key]:
        """For what of its needs a request has to wait behind others."""
        return needs & self._lacking

    def join(self, waiter: Waiter[T], lacking: Iterable[Key]) -> None:
        """One more at the end."""
        self.waiters.append(waiter)
        self._lacking.update(lacking)

    def leave(self, request_id: str) -> Waiter[T] | None:
        """The one of this ID, which waits no more; None where it does not wait."""
        for waiter in self.waiters:
            if waiter.request_id == request_id:
                self.waiters.remove(waiter)
                return waiter
        return None

    def move(self, lacks: Callable[[Waiter[T]], frozenset[Key]], now_ms: int) -> list[Waiter[T]]:
        """Lets in who may, in order; returns those that have waited long enough without it.

        Args:
            lacks: asked of one waiter at a time: what it lacks of what others hold. With nothing, it has its verdict.
        """
        late: list[Waiter[T]] = []
        staying: deque[Waiter[T]] = deque()
        lacking: set[Key] = set()
        for waiter in self.waiters:
            now_lacks = waiter.needs & lacking or lacks(waiter)
            if not now_lacks:
                continue
            if waiter.until_ms <= now_ms:
                late.append(waiter)
                continue
            staying.append(waiter)
            lacking |= now_lacks
        self.waiters, self._lacking = staying, lacking
        return late
