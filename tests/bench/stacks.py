"""A stack of its own for a measurement, with an account and a key, and what its processes cost."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.options import STUB_CONFIG, StackOptions
from deploy.local.ports import free_port
from deploy.local.stack import Stack
from services.cli.client import ManagementClient
from services.cli.output import report

ENVIRONMENT = {"SLUICE_TELEMETRY__SAMPLE_RATIO": "0", "SLUICE_BILLING__PREPAID": "false"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A running stack and a key for it."""

    stack: Stack
    account_id: str
    key: str
    more_keys: tuple[str, ...] = ()
    """Of further accounts."""

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU since each process began, its children included."""
        return self._of_each(_cpu_s)

    def memory_mib(self) -> dict[str, int]:
        """Resident memory of each process, its children included; what processes share counts for each."""
        return _in_mib(self._of_each(lambda process: process.memory_info().rss))

    def share_mib(self) -> dict[str, int]:
        """The same, where what processes share counts in parts (``Pss`` in ``proc_pid_smaps(5)``): these add up."""
        return _in_mib(self._of_each(lambda process: process.memory_full_info().pss))

    def _of_each(self, read: Callable[[psutil.Process], float]) -> dict[str, float]:
        return {name: _of_tree(child.pid, read) for name, child in self.stack.children.items()}


@asynccontextmanager
async def measured_stack(kafka: str, *, accounts: int = 1, **options: Any) -> AsyncIterator[Measured]:
    """Starts a stack with the stub provider, in a folder that goes with it.

    Args:
        accounts: how many are made, each with a key.
    """
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        chosen: dict[str, Any] = {
            "config": STUB_CONFIG,
            "stub": True,
            "kafka": kafka,
            "port": free_port(),
            "environment": ENVIRONMENT,
        }
        stack = Stack(Home(Path(folder) / "home"), StackOptions(**(chosen | options)), report)
        await stack.start()
        try:
            console = ManagementClient(stack.console_url, stack.operator_token())
            made = [
                await asyncio.to_thread(_account, console, f"bench{number}@example.com") for number in range(accounts)
            ]
            (account_id, key), *more = made
            yield Measured(stack, account_id, key, tuple(key for _, key in more))
        finally:
            await stack.stop()


def finish(measurement: Coroutine[Any, Any, None]) -> None:
    """Runs a measurement; the end of its module. What keeps a stack from starting is said without a traceback."""
    try:
        asyncio.run(measurement)
    except StackError as error:
        sys.exit(f"sluice bench: {error}")


def _account(console: ManagementClient, email: str) -> tuple[str, str]:
    account = console.call("POST", "/api/accounts", {"email": email})["id"]
    return account, console.call("POST", f"/api/accounts/{account}/keys", {})["key"]


def _of_tree(pid: int, read: Callable[[psutil.Process], float]) -> float:
    """The sum over a process and its children; those of PostgreSQL come and go."""
    process, total = psutil.Process(pid), 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += read(one)
    return total


def _in_mib(sizes: dict[str, float]) -> dict[str, int]:
    return {name: int(size) // 2**20 for name, size in sizes.items()}


def _cpu_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)
