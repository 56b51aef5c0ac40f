"""A child of the stack is usable, or is started again."""

import asyncio
import sys
from pathlib import Path

import pytest

from deploy.local.child import Child
from deploy.local.errors import StackError
from tests.stacks import until


async def test_a_child_that_runs_but_is_of_no_use_is_started_again(tmp_path: Path) -> None:
    outcomes = ["fine", "of no use", "fine"]
    pids: list[int] = []

    async def started() -> None:
        pids.append(child.pid)
        if outcomes[len(pids) - 1] != "fine":
            raise StackError("it has not what it should have")

    child = Child("sleeper", lambda: ["sleep", "600"], {"PATH": "/usr/bin:/bin"}, tmp_path / "log", on_started=started)
    await child.start()
    child.kill()

    async def started_three_times() -> bool | None:
        return len(pids) == len(outcomes) or None

    await until(started_three_times, what="the third start")
    assert child.pid == pids[2]
    assert len(set(pids)) == 3
    await child.stop()


async def test_a_start_whose_process_ends_is_given_up_at_once(tmp_path: Path) -> None:
    """PostgreSQL, right after a kill, may find its memory in use and end: the next attempt must not wait for this one."""

    async def never() -> None:
        await asyncio.Event().wait()

    child = Child("failing", lambda: [sys.executable, "-c", "exit(3)"], {}, tmp_path / "log", on_started=never)
    async with asyncio.timeout(60):
        with pytest.raises(StackError, match="failing ended with exit code 3 while it started"):
            await child.start()
