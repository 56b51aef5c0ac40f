"""Work beside the records: repeated, started again when it fails, and seen by health."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

PAUSE_FIRST_S = 0.1
PAUSE_MOST_S = 1.0


class Repeated:
    """Does ``work`` again and again: after an interval, or at once when it is woken.

    A failure is logged and counted, and the work is tried again after a pause that grows up to `PAUSE_MOST_S`.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], *, every_s: float | None = None) -> None:
        """
        Args:
            every_s: seconds between two rounds; None: only when woken.
        """
        self.name = name
        self.failures = 0
        """In all."""
        self.failing = False
        """The last round failed."""
        self._work = work
        self._every_s = every_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to do now."""
        self._wake.set()

    async def start(self) -> None:
        """Begins with a first round."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Cancels the round that runs."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            self._wake.clear()
            try:
                await self._work()
            except Exception as error:
                self.failures += 1
                self.failing = True
                log.warning("background work failed", what=self.name, error=repr(error)[:200], pause_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MOST_S)
                continue
            self.failing, pause_s = False, PAUSE_FIRST_S
            await self._due()

    async def _due(self) -> None:
        """Until the interval is over, or somebody wakes it."""
        if self._every_s is None:
            await self._wake.wait()
            return
        timer = asyncio.get_running_loop().call_later(self._every_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()


class Tasks:
    """Single pieces of work that run beside their caller. One that fails is logged; what it left is its caller's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[asyncio.Task[Any]] = set()
        self.failures = 0

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Begins a piece of work."""
        task = asyncio.create_task(work, name=self._name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def wait(self, within_s: float | None = None) -> None:
        """Returns when all have ended, or the time is over."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)

    async def cancel(self) -> None:
        """Ends all, and returns when they have ended."""
        running, self._running = self._running, set()
        for task in running:
            task.remove_done_callback(self._done)
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self.failures += 1
            log.error("background work left unfinished", what=self._name, error=repr(error)[:300])
