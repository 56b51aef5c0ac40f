"""What is over, for as long as the log may tell of it again. Pure."""

from collections.abc import Sized


class RecentIds(Sized):
    """IDs, each with the time when it was told last.

    Forgetting costs by what is forgotten, not by what is remembered: a busy service remembers a minute of requests.
    """

    __slots__ = ("_told_at_ms",)

    def __init__(self) -> None:
        self._told_at_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._told_at_ms)

    def __contains__(self, name: str) -> bool:
        return name in self._told_at_ms

    def add(self, name: str, now_ms: int) -> None:
        """Remembers it; told again, from now on."""
        self._told_at_ms.pop(name, None)
        self._told_at_ms[name] = now_ms

    def forget(self, until_ms: int) -> None:
        """Forgets what was told at this time or earlier."""
        old = []
        for name, told_at_ms in self._told_at_ms.items():
            if told_at_ms > until_ms:
                break
            old.append(name)
        for name in old:
            del self._told_at_ms[name]
