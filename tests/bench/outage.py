"""``./sluice bench outage``: what memory does while PostgreSQL is away, and how fast the books are made up after."""

import asyncio
import signal
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from deploy.local.home import Home
from deploy.local.options import STUB_CONFIG, StackOptions
from deploy.local.ports import free_port
from deploy.local.stack import Stack
from services.cli.client import ManagementClient
from services.cli.output import as_table, out, report

WATCHED = ("metering", "rate-limit", "relay", "router", "console", "broker")
ENVIRONMENT = {"SLUICE_TELEMETRY__SAMPLE_RATIO": "0", "SLUICE_BILLING__PREPAID": "false"}


async def main(options: Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        given = StackOptions(config=STUB_CONFIG, stub=True, kafka=options.kafka, port=port, environment=ENVIRONMENT)
        stack = Stack(Home(Path(folder) / "home"), given, report)
        await stack.start()
        try:
            await _measure(stack, options)
        finally:
            await stack.stop()


async def _measure(stack: Stack, options: Namespace) -> None:
    console = ManagementClient(stack.console_url, stack.operator_token())
    account = await asyncio.to_thread(console.call, "POST", "/api/accounts", {"email": "outage@example.com"})
    issued = await asyncio.to_thread(console.call, "POST", f"/api/accounts/{account['id']}/keys", {})
    load = _Load(stack, issued["key"], options.rate)
    postgres = stack.children["postgres"]
    async with load:
        await asyncio.sleep(5)
        before, booked = _memory(stack), await _booked(stack, 0)
        postgres.kill_tree(signal.SIGSTOP)
        report(f"PostgreSQL stands still for {options.seconds:.0f} s, at {options.rate} requests/s")
        try:
            await asyncio.sleep(options.seconds)
            during = _memory(stack)
            waiting = load.answered
        finally:
            postgres.kill_tree(signal.SIGCONT)
        started = time.monotonic()
        behind = await _booked(stack, waiting) - booked
        took = time.monotonic() - started
    await _booked(stack, load.answered)
    after = _memory(stack)
    rows = [
        {"process": name, "MiB before": before[name], "at the end of the outage": during[name], "after": after[name]}
        for name in WATCHED
    ]
    as_table(rows, "")
    rate = behind / took
    out.print(f"\n{waiting} requests were answered by the end of the outage, {dict(load.failed)} failed")
    times = rate / options.rate
    out.print(f"the ledger made up {behind} in {took:.1f} s: {rate:.0f}/s, {times:.0f} times the rate of arrival")


class _Load:
    """Requests at a steady rate, whatever their answers do."""

    def __init__(self, stack: Stack, key: str, rate: float) -> None:
        self._url = f"{stack.base_url}/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._rate = rate
        self._tasks: set[asyncio.Task[None]] = set()
        self.answered = 0
        self.failed: Counter[str] = Counter()

    async def __aenter__(self) -> "_Load":
        self._http = httpx.AsyncClient(timeout=60, trust_env=False)
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            due += 1 / self._rate
            await asyncio.sleep(max(0, due - time.monotonic()))
            task = asyncio.create_task(self._ask())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self) -> None:
        body = {"model": "stub/echo", "messages": [{"role": "user", "content": "hello"}]}
        try:
            response = await self._http.post(self._url, json=body, headers=self._headers)
        except httpx.HTTPError as error:
            self.failed[type(error).__name__] += 1
            return
        if response.status_code == 200:
            self.answered += 1
        else:
            self.failed[str(response.status_code)] += 1


async def _booked(stack: Stack, wanted: int) -> int:
    """How many requests the ledger has, once it has so many."""
    connection = await asyncpg.connect(stack.postgres.admin_url(), timeout=30)
    try:
        while (there := await connection.fetchval("select count(*) from ledger.usage")) < wanted:
            await asyncio.sleep(0.02)
        return int(there)
    finally:
        await connection.close()


def _memory(stack: Stack) -> dict[str, Any]:
    return {name: psutil.Process(stack.children[name].pid).memory_info().rss // 2**20 for name in WATCHED}


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="without PostgreSQL")
    parser.add_argument("--rate", type=float, default=30, help="requests a second")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    asyncio.run(main(parser.parse_args()))
