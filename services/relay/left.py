"""Answers that are read on although their clients have left: a bounded number, each for a bounded part."""

import asyncio

MOST_LEFT = 64
MOST_READ_ON = 256 * 1024
"""Bytes of one answer."""


class Left:
    """How many there are now. Beyond `MOST_LEFT` the connection is closed at once."""

    def __init__(self) -> None:
        self._count = 0

    def enter(self) -> bool:
        """Takes a place; False where there is none."""
        if self._count >= MOST_LEFT:
            return False
        self._count += 1
        return True

    def leave(self) -> None:
        """Gives the place back."""
        self._count -= 1


class ReadingOn:
    """One answer that may be read on after its client has left: its counts may be about to come."""

    def __init__(self, left: Left, within_s: float) -> None:
        """
        Args:
            within_s: for so long.
        """
        self._left = left
        self._within_s = within_s
        self._bytes: int | None = None
        self._task: asyncio.Task[object] | None = None

    def __bool__(self) -> bool:
        """The client has left, and what comes goes nowhere."""
        return self._bytes is not None

    def begin(self, task: "asyncio.Task[object]") -> bool:
        """From now on. False where there is no room; else the task is cancelled when it has read enough."""
        if not self._left.enter():
            return False
        self._bytes, self._task = 0, task
        asyncio.get_running_loop().call_later(self._within_s, task.cancel)
        return True

    def take(self, count: int) -> None:
        """Counts what has come."""
        self._bytes = (self._bytes or 0) + count
        if self._bytes > MOST_READ_ON and self._task:
            self._task.cancel()

    def end(self) -> None:
        """The answer has ended."""
        if self._bytes is not None:
            self._left.leave()
