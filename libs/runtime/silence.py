"""How long another may be silent; what this process sleeps itself does not count.

A process that had no CPU, or was stopped, hears late what was said in time: it is there, and not read yet. So the time
is cut into pieces, and one that ends late is not counted: whatever stood still, the other has all the rest.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

PIECES = 6
LATE_S = 0.05
"""So late is every loop at times."""


class _Pieces:
    """Of a time that begins with `allow`."""

    def __init__(self) -> None:
        self._piece_s = 0.0
        self._left = 0
        """Pieces, with the one that has begun."""
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def allow(self, seconds: float | None) -> None:
        """So many from now on, or somewhat more; None: as long as it takes."""
        piece_s = None if seconds is None else seconds / PIECES
        # Each piece of a stream comes here: the timer is set anew where it must be only.
        if self._timer and piece_s == self._piece_s:
            self._left = PIECES + 1
            return
        self.stop()
        if piece_s is not None:
            self._left, self._piece_s = PIECES, piece_s
            self._begin()

    def stop(self) -> None:
        """Nothing is waited for any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + self._piece_s
        self._timer = loop.call_later(self._piece_s, self._ended)

    def _ended(self) -> None:
        late_s = asyncio.get_running_loop().time() - self._due_s
        if late_s <= max(self._piece_s, LATE_S):
            self._left -= 1
        if self._left:
            self._begin()
        else:
            self._timer = None
            self._over()

    def _over(self) -> None:
        raise NotImplementedError


class SilenceTimer(_Pieces):
    """As `asyncio.loop.call_later`, but for a time in which this process was awake. Begins with `allow`."""

    def __init__(self, too_long: Callable[[], None]) -> None:
        """
        Args:
            too_long: called once, when the time is over.
        """
        super().__init__()
        self._too_long = too_long

    def _over(self) -> None:
        self._too_long()


class Silence(_Pieces):
    """As `asyncio.timeout`, likewise.

    TimeoutError leaves the block when the other was silent for too long.
    """

    def __init__(self, seconds: float | None) -> None:
        """
        Args:
            seconds: see `allow`.
        """
        super().__init__()
        self.too_long = False
        """It was."""
        self._seconds = seconds
        self._task: asyncio.Task[object] | None = None
        self._cancellations = 0

    def _over(self) -> None:
        if self._task:
            self.too_long = True
            self._task.cancel()

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancellations = self._task.cancelling() if self._task else 0
        self.allow(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # A task that fails has its frames, and they have this: nobody else would break the cycle.
        task, self._task = self._task, None
        # As asyncio's: only what was cancelled from here, and by nobody else, is a time-out.
        ours = self.too_long and task is not None and task.uncancel() <= self._cancellations
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
