"""IDs of what is over, for as long as the log may bring it again. Pure."""

from collections.abc import Sized


class RecentIds(Sized):
    """IDs, each with the time when it was added last.

    Forgetting costs by what is forgotten, not by what is remembered: a busy service remembers a minute of requests.
    """

    __slots__ = ("_added_at_ms",)

    def __init__(self) -> None:
        self._added_at_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._added_at_ms)

    def __contains__(self, name: object) -> bool:
        return name in self._added_at_ms

    def add(self, name: str, now_ms: int) -> None:
        """Adds the ID, or renews its time."""
        self._added_at_ms.pop(name, None)
        self._added_at_ms[name] = now_ms

    def forget(self, until_ms: int) -> list[str]:
        """Forgets IDs of this time or earlier, and returns them."""
        old = []
        for name, added_at_ms in self._added_at_ms.items():
            if added_at_ms > until_ms:
                break
            old.append(name)
        for name in old:
            del self._added_at_ms[name]
        return old
