"""A child of the stack is usable, or is started again."""

from pathlib import Path

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
