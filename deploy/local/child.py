"""One process of the stack: started, watched, restarted when it dies, and never left behind."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK
from libs.runtime.scheduling import take_turns
from libs.runtime.server import BACKLOG
from libs.runtime.supervised import DRAINING, SOCKETS, named

RESTART_FIRST_S = 0.2
RESTART_MOST_S = 5.0
DEBUGGED_EVERY_S = 0.2
HURRIED_WITHIN_S = 15.0
MOST_LEAVING = 2
"""Processes of one child that drain, and have a successor."""
STEADY_AFTER_S = 20.0
DIED_WITHIN_S = 0.05
spawn: Any = asyncio.create_subprocess_exec
"""Starts a process. Benches that start hundreds of them replace it."""
NOWHERE: Mapping[str, int] = MappingProxyType({})
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _in_child() -> None:
    take_turns()
    # It dies with its parent.
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A child process. While it is wanted it is started again whenever it ends."""

    def __init__(
        self,
        name: str,
        command: Callable[[], list[str]],
        environment: dict[str, str],
        log_file: Path,
        *,
        user: str | None = None,
        on_started: Callable[[], Awaitable[None]] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        on_restart: Callable[[str], None] | None = None,
        debugged: Callable[[], bool] = lambda: False,
        listens: Mapping[str, int] = NOWHERE,
        overlaps: bool = False,
    ) -> None:
        """
        Args:
            command: asked anew for every start.
            on_started: awaited after every start, before `start` returns or a restart counts as done.
            on_restart: called with a message when the process ended by itself.
            listens: ports on loopback by name. Their sockets stay open from one process to the next, so that nobody
                is refused meanwhile; see `libs.runtime.supervised`.
            overlaps: when a process begins to drain, the next is started at once, and not when it has ended.
            debugged: asked when the process ended; while it is true somebody else runs it, and it is not started.
        """
        self.name = name
        self._command = command
        self._environment = environment
        self._log_file = log_file
        self._user = user
        self._on_started = on_started
        self._stop_signal = stop_signal
        self._on_restart = on_restart
        self._debugged = debugged
        self._listens = listens
        self._sockets: dict[str, socket.socket] = {}
        self._overlaps = overlaps
        self._draining: asyncio.Event | None = None
        self._leaving: list[asyncio.subprocess.Process] = []
        """Processes that drain, and have a successor."""
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0
        self._restarted = asyncio.Event()

    @property
    def pid(self) -> int:
        """Of the process that runs now.

        Raises:
            StackError: none does.
        """
        if self._process is None or self._process.returncode is not None:
            raise StackError(f"{self.name} is not running")
        return self._process.pid

    async def start(self) -> None:
        """Starts it and keeps it running until `stop`."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self, *, within_s: float = 20.0) -> None:
        """Asks it to end, asks again, and kills it when it does not."""
        if self._keeper:
            self._keeper.cancel()
        self._close_sockets()
        if self._process is None:
            return
        ending = {process for process in (self._process, *self._leaving) if process.returncode is None}
        await asyncio.gather(*(self._end(process, within_s) for process in ending))

    async def _end(self, process: asyncio.subprocess.Process, within_s: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self._stop_signal)
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            await self._hurry(process)

    async def _hurry(self, process: asyncio.subprocess.Process) -> None:
        """Once more, to end at once what it lets end; it is killed where that does not help."""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self._stop_signal)
        try:
            async with asyncio.timeout(HURRIED_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def restart(self, environment: dict[str, str]) -> None:
        """Asks it to end, and returns when the next process runs, with another environment."""
        self._environment = environment
        before = self.restarts
        self.kill(self._stop_signal)
        while self.restarts == before:
            self._restarted.clear()
            await self._restarted.wait()

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """For fault tests: the keeper starts it again."""
        os.kill(self.pid, signal_number)

    def kill_for_good(self) -> None:
        """For fault tests: the same, and it is not started again."""
        if self._keeper:
            self._keeper.cancel()
        self.kill()

    def kill_tree(self, signal_number: int) -> None:
        """The same for the process and all that it started: a PostgreSQL server works in its children."""
        process = psutil.Process(self.pid)
        for one in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal_number)

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-lines:])
        return ""

    async def _launch(self) -> None:
        await self._spawn()
        if self._on_started is None:
            return
        assert self._process is not None
        starting = asyncio.ensure_future(self._on_started())
        ended = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                raise StackError(
                    f"{self.name} {_how(ended.result())} while it started; its log ends:\n{self.log_tail(5)}"
                )
            starting.result()
        finally:
            starting.cancel()
            ended.cancel()

    async def _spawn(self) -> None:
        try:
            self._log_file.touch(mode=0o600)
            self._open_sockets()
            with self._log_file.open("ab") as log, self._pipe() as pipe:
                given = {name: one.fileno() for name, one in self._sockets.items()}
                added = {SOCKETS: named(given)} if given else {}
                environment = self._environment | added | pipe
                self._process = await spawn(
                    *self._command(),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    user=self._user,
                    process_group=0,
                    preexec_fn=_in_child,
                    pass_fds=[*given.values(), *map(int, pipe.values())],
                )
        except OSError as error:
            raise StackError(f"{self.name} could not be started: {error.strerror or error}") from None

    def _open_sockets(self) -> None:
        for name, port in self._listens.items():
            if name not in self._sockets:
                self._sockets[name] = socket.create_server((LOOPBACK, port), backlog=BACKLOG)

    def _close_sockets(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()

    @contextmanager
    def _pipe(self) -> Iterator[dict[str, str]]:
        """The environment of a process that says when it drains."""
        if not self._overlaps:
            yield {}
            return
        reading, writing = os.pipe()
        loop, draining = asyncio.get_running_loop(), asyncio.Event()

        def closed() -> None:
            loop.remove_reader(reading)
            os.close(reading)
            draining.set()

        loop.add_reader(reading, closed)
        self._draining = draining
        try:
            yield {DRAINING: str(writing)}
        finally:
            os.close(writing)

    async def _ended(self, process: asyncio.subprocess.Process) -> int | None:
        """How a process ended; None where it drains and is to have a successor."""
        ended = asyncio.ensure_future(process.wait())
        drains = asyncio.ensure_future(self._draining.wait()) if self._draining else None
        try:
            await asyncio.wait({ended, drains} if drains else {ended}, return_when=asyncio.FIRST_COMPLETED)
            # The pipe of a process that died may be closed before its end is known.
            await asyncio.wait({ended}, timeout=DIED_WITHIN_S)
        finally:
            ended.cancel()
            if drains:
                drains.cancel()
        if ended.done() and not ended.cancelled():
            return ended.result()
        self._leaving = [*(one for one in self._leaving if one.returncode is None), process]
        for excess in self._leaving[:-MOST_LEAVING]:
            with contextlib.suppress(ProcessLookupError):
                excess.send_signal(self._stop_signal)
        return None

    async def _keep(self) -> None:
        pause_s = RESTART_FIRST_S
        while True:
            assert self._process is not None
            started = time.monotonic()
            code = await self._ended(self._process)
            if time.monotonic() - started > STEADY_AFTER_S:
                pause_s = RESTART_FIRST_S
            if self._debugged():
                self._close_sockets()
                self._report(f"{self.name} is debugged; it is started again when that ends")
                while self._debugged():
                    await asyncio.sleep(DEBUGGED_EVERY_S)
            else:
                self._report(f"{self.name} {_how(code)}; starting it again")
                # Who ends in good order was asked to: a restart.
                if code:
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, RESTART_MOST_S)
            self.restarts += 1
            try:
                await self._launch()
            except Exception as error:
                # Whatever it met: one that died while PostgreSQL's roles were made would else stay down.
                self._report(str(error) if isinstance(error, StackError) else f"{self.name} did not start: {error!r}")
                # What runs and is not usable would otherwise stay as it is for ever.
                with contextlib.suppress(StackError):
                    self.kill()
            self._restarted.set()

    def _report(self, text: str) -> None:
        if self._on_restart:
            self._on_restart(text)


def _how(code: int | None) -> str:
    if code is None:
        return "drains"
    return f"ended with signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
