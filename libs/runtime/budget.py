"""What may be held at the same time, altogether and by one owner: bytes, or places. Pure."""

import sys
from collections import Counter


class Budget:
    """Counts what is held. Who may not take is to refuse its work, not to wait: what is held is given back late."""

    def __init__(self, total: int = sys.maxsize, share: int = sys.maxsize) -> None:
        """
        Args:
            total: of all owners.
            share: of one owner: so one cannot fill it alone.
        """
        self._total = total
        self._share = share
        self._by_owner: Counter[str] = Counter()
        self.held = 0
        """Of all owners."""

    def take(self, owner: str, size: int = 1) -> bool:
        """Takes so much for an owner; False, and nothing is taken, where there is no room."""
        if self.held + size > self._total or self._by_owner[owner] + size > self._share:
            self._forget(owner)
            return False
        self.held += size
        self._by_owner[owner] += size
        return True

    def give(self, owner: str, size: int = 1) -> None:
        """Gives back what `take` took."""
        self.held -= size
        self._by_owner[owner] -= size
        self._forget(owner)

    def _forget(self, owner: str) -> None:
        if not self._by_owner[owner]:
            del self._by_owner[owner]
