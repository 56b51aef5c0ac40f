"""What becomes of a stack that has more instances, partitions or owners; for ``./sluice bench growth``.

instances: one, two and three processes of each service but the console, of one stack under load, and back to one; what
joins and leaves makes its group share its partitions anew, and the figures of such a step are of the time around it.
partitions: stacks with 4, 16 and 64 of each keyed topic. owners: a stack with 1, 1,000 and 10,000 accounts, whose
requests come in turn. Each stack is audited at its end.

More processes on the same cores are no faster: what is shown is what they cost, and that nothing is lost.
"""

import asyncio
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from services.cli.output import report
from tests.bench.asking import Door, drive
from tests.bench.load import Result
from tests.bench.stacks import Measured, measured_stack
from tests.faults.books import audited

INSTANCES = 3
GROWING = ("policy", "rate-limit", "key-vault", "router", "relay", "metering", "ingress")
PARTITIONS = (4, 16, 64)
OWNERS = (1, 1_000, 10_000)
MADE_AT_ONCE = 16
REMEMBERING = ("rate-limit", "ingress")
"""What knows every owner, and learns of them again when it starts."""
SETTLE_S = 10.0
IDLE_S = 10.0
NOT_OURS = ("broker", "postgres", "stub")

Row = dict[str, Any]


async def by_instances(options: Namespace) -> list[Row]:
    """Rows of a stack that grows and shrinks under load."""
    rows = []
    async with measured_stack(options.kafka) as measured:
        stack = measured.stack
        await _load(measured, options, 1)
        for number in range(1, INSTANCES + 1):
            if number > 1:
                row = await _beside(measured, options, number - 1, lambda number=number: _join(measured, number))  # type: ignore[misc]
                rows.append({"instances": f"{number - 1} to {number}"} | row)
            before = measured.cpu_s()
            result = await _load(measured, options, number)
            rows.append({"instances": f"{number}"} | _figures(measured, result, before))
            report(f"{rows[-1]}")

        async def leave() -> None:
            for number in range(INSTANCES, 1, -1):
                for service in GROWING:
                    await stack.remove_service(service, number)

        rows.append({"instances": f"{INSTANCES} to 1"} | await _beside(measured, options, 1, leave))
        await _audit(measured)
    return rows


async def by_partitions(options: Namespace) -> list[Row]:
    """A row for each stack."""
    rows = []
    for partitions in PARTITIONS:
        began_s = time.monotonic()
        async with measured_stack(options.kafka, partitions=partitions) as measured:
            row: Row = {"partitions": partitions, "started s": round(time.monotonic() - began_s, 1)}
            await asyncio.sleep(SETTLE_S)
            before = measured.cpu_s()
            await asyncio.sleep(IDLE_S)
            row["idle cores"] = round(sum(_spent(before, measured.cpu_s()).values()) / IDLE_S, 3)
            await _load(measured, options, 1)
            alone = await drive(_doors(measured, 1), [measured.key], connections=1, seconds=options.seconds / 2)
            row["alone p50 ms"] = round(alone.total_ms(50), 1)
            before = measured.cpu_s()
            result = await _load(measured, options, 1)
            row |= _figures(measured, result, before)
            step = await _beside(measured, options, 1, lambda measured=measured: measured.stack.restart("router"))  # type: ignore[misc]
            rows.append(row | {"router restarted: longest ms": step["longest ms"], "its errors": step["errors"]})
            report(f"{rows[-1]}")
            await _audit(measured)
    return rows


async def by_owners(options: Namespace) -> list[Row]:
    """A row for each number of accounts."""
    rows = []
    async with measured_stack(options.kafka) as measured:
        keys = [measured.key]
        for count in OWNERS:
            began_s = time.monotonic()
            keys += await _accounts(measured, len(keys), count)
            row: Row = {"owners": f"{count:,}", "made s": round(time.monotonic() - began_s, 1)}
            await _load(measured, options, 1, keys)
            before = measured.cpu_s()
            result = await _load(measured, options, 1, keys)
            row |= _figures(measured, result, before)
            memory = measured.memory_mib()
            for service in REMEMBERING:
                began_s = time.monotonic()
                await measured.stack.restart(service)
                row[f"{service} MiB"] = memory[service]
                row[f"{service} back s"] = round(time.monotonic() - began_s, 1)
            rows.append(row)
            report(f"{row}")
        await _audit(measured)
    return rows


KINDS: dict[str, Callable[[Namespace], Awaitable[list[Row]]]] = {
    "instances": by_instances,
    "partitions": by_partitions,
    "owners": by_owners,
}


async def _join(measured: Measured, number: int) -> None:
    """One more process of each service, ready."""
    names = [f"{service}-{number}" for service in GROWING]
    for service in GROWING:
        await measured.stack.start_service(service, number)
    while True:
        health = await measured.stack.health()
        if all(health[name].get("ready") for name in names):
            return
        await asyncio.sleep(0.1)


async def _beside(measured: Measured, options: Namespace, doors: int, step: Callable[[], Awaitable[None]]) -> Row:
    """A step under load; the load goes on until the step has been taken, and half a round more."""
    results: list[Result] = []
    taken = asyncio.Event()

    async def loaded() -> None:
        last = False
        while not last:
            last = taken.is_set()
            results.append(await _load(measured, options, doors))

    began_s = time.monotonic()
    running = asyncio.create_task(loaded())
    await step()
    took_s = time.monotonic() - began_s
    taken.set()
    await running
    samples = [sample for result in results for sample in result.samples]
    whole = Result(sum(result.seconds for result in results), samples)
    return {
        "requests/s": round(whole.rate),
        "p50 ms": round(whole.total_ms(50)),
        "longest ms": round(max(sample.total_s for sample in samples) * 1000),
        "errors": _errors(whole),
        "step took s": round(took_s, 1),
    }


async def _load(measured: Measured, options: Namespace, doors: int, keys: Sequence[str] = ()) -> Result:
    return await drive(
        _doors(measured, doors), keys or [measured.key], connections=options.connections, seconds=options.seconds
    )


def _doors(measured: Measured, count: int) -> list[Door]:
    return [Door(measured.stack.ingress_url(number)) for number in range(1, count + 1)]


def _figures(measured: Measured, result: Result, before: dict[str, float]) -> Row:
    spent, memory = _spent(before, measured.cpu_s()), measured.memory_mib()
    return {
        "requests/s": round(result.rate),
        "p50 ms": round(result.total_ms(50)),
        "p99 ms": round(result.total_ms(99)),
        "longest ms": round(max(sample.total_s for sample in result.samples) * 1000),
        "errors": _errors(result),
        "CPU ms a request": round(sum(spent.values()) / len(result.samples) * 1000, 2),
        "services MiB": sum(size for name, size in memory.items() if name not in NOT_OURS),
        "broker MiB": memory.get("broker", 0),
    }


def _errors(result: Result) -> str:
    """How many of each status."""
    counts = Counter(sample.status for sample in result.samples if sample.status != 200)
    return ", ".join(f"{count} x {status}" for status, count in sorted(counts.items())) or "none"


def _spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before.get(name, 0.0) for name in after if name != "stub"}


async def _accounts(measured: Measured, first: int, count: int) -> list[str]:
    """Keys of so many further accounts, until there are ``count``."""
    url, token = measured.stack.console_url, measured.stack.operator_token()
    turn = asyncio.Semaphore(MADE_AT_ONCE)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:

        async def make(number: int) -> str:
            async with turn:
                made = await http.post("/api/accounts", json={"email": f"grown{number}@example.com"})
                account = made.raise_for_status().json()["id"]
                key = await http.post(f"/api/accounts/{account}/keys", json={})
                return str(key.raise_for_status().json()["key"])

        return list(await asyncio.gather(*(make(number) for number in range(first, count))))


async def _audit(measured: Measured) -> None:
    """Raises AssertionError where log and ledger do not agree."""
    report("audit")
    await audited(measured.stack)
    report("audit: clean")
