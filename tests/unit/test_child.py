"""A child of the stack is usable, or is started again."""

import asyncio
import contextlib
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.child import Child
from deploy.local.errors import StackError
from deploy.local.home import ROOT, plain_environment
from deploy.local.ports import free_port
from tests.stacks import until


@pytest.mark.parametrize("error", [StackError("it has not what it should have"), ConnectionResetError("it was killed")])
async def test_a_child_that_runs_but_is_of_no_use_is_started_again(tmp_path: Path, error: Exception) -> None:
    outcomes = ["fine", "of no use", "fine"]
    pids: list[int] = []

    async def started() -> None:
        pids.append(child.pid)
        if outcomes[len(pids) - 1] != "fine":
            raise error

    child = Child("sleeper", lambda: ["sleep", "600"], {"PATH": "/usr/bin:/bin"}, tmp_path / "log", on_started=started)
    await child.start()
    child.kill()

    async def started_three_times() -> bool | None:
        return len(pids) == len(outcomes) or None

    await until(started_three_times, what="the third start")
    assert child.pid == pids[2]
    assert len(set(pids)) == 3
    await child.stop()


async def test_a_child_that_somebody_debugs_is_left_alone_until_that_ends(tmp_path: Path) -> None:
    debugged = True
    reports: list[str] = []
    child = Child(
        "sleeper",
        lambda: ["sleep", "600"],
        {"PATH": "/usr/bin:/bin"},
        tmp_path / "log",
        on_restart=reports.append,
        debugged=lambda: debugged,
    )
    await child.start()
    first = child.pid
    child.kill()

    async def left_alone() -> bool | None:
        return bool(reports) or None

    await until(left_alone, what="a report of the debugging")
    with pytest.raises(StackError):
        _ = child.pid
    assert ["debugged" in text for text in reports] == [True]
    debugged = False

    async def runs_again() -> int | None:
        with contextlib.suppress(StackError):
            return child.pid
        return None

    assert await until(runs_again, what="a second start") != first
    await child.stop()


async def test_a_start_whose_process_ends_is_given_up_at_once(tmp_path: Path) -> None:
    """PostgreSQL, right after a kill, may find its memory in use and end: the next attempt must not wait for that."""

    async def never() -> None:
        await asyncio.Event().wait()

    child = Child("failing", lambda: [sys.executable, "-c", "exit(3)"], {}, tmp_path / "log", on_started=never)
    async with asyncio.timeout(60):
        with pytest.raises(StackError, match="failing ended with exit code 3 while it started"):
            await child.start()


SERVER = """
import os, signal, sys
from libs.runtime.supervised import announce_draining, inherited
listener = inherited("http")
first = not os.path.exists(sys.argv[1])
open(sys.argv[1], "a").close()
signal.signal(signal.SIGTERM, lambda *_: announce_draining())
while True:
    if first:
        signal.pause()
        listener.close()
        signal.pause()
    connection, _ = listener.accept()
    connection.sendall(b"%d" % os.getpid())
    connection.close()
"""


async def test_a_child_that_drains_has_a_successor_on_the_same_socket(tmp_path: Path) -> None:
    port = free_port()
    environment = plain_environment(PYTHONPATH=ROOT)
    child = Child(
        "server",
        lambda: [sys.executable, "-c", SERVER, str(tmp_path / "begun")],
        environment,
        tmp_path / "log",
        listens={"http": port},
        overlaps=True,
    )
    await child.start()
    first = child.pid

    async def begun() -> bool | None:
        return (tmp_path / "begun").exists() or None

    await until(begun, what="the first process")
    # The first accepts nothing; the connection waits for who does.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await child.restart(environment)
    assert (await reader.read(), child.pid != first) == (b"%d" % child.pid, True)
    assert psutil.pid_exists(first)
    writer.close()
    await child.stop(within_s=0.1)
    assert not psutil.pid_exists(first)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
