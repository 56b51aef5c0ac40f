"""How long another may be silent; what this process sleeps itself does not count."""

import asyncio
from types import TracebackType
from typing import Self

LATE_S = 0.5
"""A timer that comes so late was not waited for: the process had no CPU, or was stopped. What the other has sent
meanwhile is there, and not read yet."""


class Silence:
    """As `asyncio.timeout`, but that its time begins anew where its end comes late.

    TimeoutError leaves the block when the other was silent for too long.
    """

    def __init__(self, seconds: float | None) -> None:
        """
        Args:
            seconds: see `allow`.
        """
        self.too_long = False
        """It was."""
        self._seconds = seconds
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancellations = 0

    def allow(self, seconds: float | None) -> None:
        """So many from now on; None: as long as it takes."""
        self._seconds = seconds
        if seconds is None:
            self._stop()
            return
        self._due_s = asyncio.get_running_loop().time() + seconds
        # Each piece of a stream comes here: a timer that rings too early is set anew then.
        if self._timer is None or self._rings_s > self._due_s:
            self._ring_at(self._due_s)

    def _ring_at(self, at_s: float) -> None:
        self._stop()
        self._rings_s = at_s
        self._timer = asyncio.get_running_loop().call_at(at_s, self._ring)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._rings_s > LATE_S:
            self._timer = None
            self.allow(self._seconds)
        elif now_s < self._due_s:
            self._ring_at(self._due_s)
        elif self._task:
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
        self._stop()
        # As asyncio's: only what was cancelled from here, and by nobody else, is a time-out.
        ours = self.too_long and self._task is not None and self._task.uncancel() <= self._cancellations
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
