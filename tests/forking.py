"""Services that begin as forks of one process that has imported them all: a start without the imports.

For tests and benches that start and kill many: what a start costs is the imports almost alone, 0.6 to 2 s of CPU. All
else is as ever: environment, log, sockets, process group, and a process that `kill -9` ends. Only the system shows the
first process's environment and arguments of it.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from deploy.local import child as supervision
from deploy.local.stack import SERVICES
from deploy.local.trees import THIS_TREE

MOST_BYTES = 256 * 1024
MOST_FDS = 16
_ABOVE = 200
"""Descriptors that a fork was sent are moved up here before each is given its number."""
_PR_SET_PDEATHSIG = 1


class Fork:
    """A process as `asyncio.subprocess.Process` shows one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Its exit code; of one that a signal ended, minus the signal's number."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError where it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def end(self, code: int) -> None:
        """It has ended."""
        self.returncode = code
        self._ended.set()


class Forks:
    """Begins them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._running: dict[int, Fork] = {}
        self._begun: asyncio.Queue[int] = asyncio.Queue()
        self._one_at_a_time = asyncio.Lock()

    def read(self) -> None:
        """Takes in what the first process says: that a fork runs, or how one ended."""
        with contextlib.suppress(BlockingIOError):
            while message := self._control.recv(MOST_BYTES):
                said = json.loads(message)
                if said["code"] is None:
                    # Before anything is said of its end.
                    self._running[said["pid"]] = Fork(said["pid"])
                    self._begun.put_nowait(said["pid"])
                else:
                    self._running.pop(said["pid"]).end(said["code"])

    async def spawn(self, *command: str, **options: Any) -> Any:
        """In place of `asyncio.create_subprocess_exec`; all but services of this tree start as ever."""
        module = command[-1]
        if tuple(command[:-1]) != (THIS_TREE.python, "-P", "-m") or not module.startswith("services."):
            return await asyncio.create_subprocess_exec(*command, **options)
        numbers = list(options["pass_fds"])
        wanted = {"module": module, "environment": options["env"], "numbers": numbers}
        async with self._one_at_a_time:
            fds = [options["stdout"].fileno(), *numbers]
            socket.send_fds(self._control, [json.dumps(wanted).encode()], fds)
            pid = await self._begun.get()
        # One that has ended since is gone from here, and is the same to who waits.
        return self._running.get(pid) or _gone(pid)


def _gone(pid: int) -> Fork:
    fork = Fork(pid)
    fork.end(1)
    return fork


@asynccontextmanager
async def first_process() -> AsyncIterator[Forks]:
    """Imports all services, and is forked until the end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    first: Process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "tests.forking", str(theirs.fileno())),
        env=os.environ | THIS_TREE.environment,
        pass_fds=[theirs.fileno()],
        preexec_fn=_die_with_parent,
    )
    theirs.close()
    forks, loop = Forks(ours), asyncio.get_running_loop()
    loop.add_reader(ours, forks.read)
    try:
        yield forks
    finally:
        loop.remove_reader(ours)
        first.kill()
        await first.wait()
        ours.close()


@contextmanager
def started_by(forks: Forks) -> Iterator[None]:
    """Meanwhile services of this process's stacks start as forks."""
    former, supervision.spawn = supervision.spawn, forks.spawn
    try:
        yield
    finally:
        supervision.spawn = former


@asynccontextmanager
async def forked_services() -> AsyncIterator[None]:
    """The same, with a first process of their own."""
    async with first_process() as forks:
        with started_by(forks):
            yield


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _serve(control: socket.socket) -> str:
    """Forks for each message. Returns in the forks alone: the module to run."""
    waking, woken = socket.socketpair()
    for one in (waking, woken):
        one.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as both:
        both.register(control, selectors.EVENT_READ)
        both.register(waking, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in both.select()}
            if waking in ready:
                waking.recv(MOST_BYTES)
                for pid, code in _ended():
                    _say(control, pid, code)
            if control in ready:
                message, fds, _, _ = socket.recv_fds(control, MOST_BYTES, MOST_FDS)
                if not message:
                    sys.exit()
                pid = os.fork()
                if not pid:
                    break
                for fd in fds:
                    os.close(fd)
                _say(control, pid, None)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for one in (waking, woken, control):
        one.close()
    return _become(json.loads(message), fds)


def _say(control: socket.socket, pid: int, code: int | None) -> None:
    control.send(json.dumps({"pid": pid, "code": code}).encode())


def _ended() -> Iterable[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _become(wanted: dict[str, Any], fds: list[int]) -> str:
    """What the start of a process does before its first line."""
    _die_with_parent()
    os.setpgid(0, 0)
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for fd in fds]
    for fd in fds:
        os.close(fd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, number in zip([nothing, above[0], *above], [0, 1, 2, *wanted["numbers"]], strict=True):
        os.dup2(fd, number)
    for fd in (nothing, *above):
        os.close(fd)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    module: str = wanted["module"]
    return module


if __name__ == "__main__":
    for service in SERVICES:
        importlib.import_module(f"services.{service.replace('-', '_')}.app")
    gc.collect()
    gc.freeze()
    runpy.run_module(_serve(socket.socket(fileno=int(sys.argv[1]))), run_name="__main__", alter_sys=True)
