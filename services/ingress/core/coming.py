"""Requests on their way from the connection to the door. Pure.

A turn of the loop reads what many connections have sent before any of it gets to the door. Each would find the one
place free that is left, and all but one would be refused late, when much has been made of them.
"""

from collections import Counter, deque


class Coming:
    """Who was let through, and has not come to the door yet."""

    def __init__(self) -> None:
        self._by_owner: Counter[str] = Counter()
        self._oldest: deque[tuple[float, str]] = deque()
        """Those that have come may still be in it."""
        self._come: Counter[str] = Counter()
        self.total = 0

    def of(self, owner: str) -> int:
        """How many of an owner's."""
        return self._by_owner[owner]

    def add(self, owner: str, now_s: float) -> None:
        """One more."""
        self._by_owner[owner] += 1
        self.total += 1
        self._oldest.append((now_s, owner))

    def came(self, owner: str) -> None:
        """One of an owner's is at the door, of those that were let through or of others."""
        if self._by_owner[owner] > 0:
            self._take(owner)
            self._come[owner] += 1
        else:
            del self._by_owner[owner]

    def forget(self, until_s: float) -> None:
        """Whoever was let through by then will not come: its connection has ended, or its key is none."""
        while self._oldest and self._oldest[0][0] <= until_s:
            _, owner = self._oldest.popleft()
            if self._come[owner]:
                self._come[owner] -= 1
            else:
                self._take(owner)
            if not self._come[owner]:
                del self._come[owner]

    def _take(self, owner: str) -> None:
        self.total -= 1
        self._by_owner[owner] -= 1
        if not self._by_owner[owner]:
            del self._by_owner[owner]
