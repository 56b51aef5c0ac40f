"""``./sluice bench overload``: ten times what the gateway can do, and how it is afterwards.

Requests are sent when they are due, whatever became of those before. What each figure must be is docs/reliability.md's.
The load comes from the same machine, and costs it about as much as refusing does.
"""

import argparse
import asyncio
import sys
import threading
import time
from typing import Any

import uvloop

from deploy.local.errors import StackError
from services.cli.output import as_table, out, report
from tests.bench.asking import Door
from tests.bench.load import Result, Sample, percentile, run
from tests.bench.open_load import Sent, send
from tests.bench.probe import beside
from tests.bench.stacks import Measured, measured_stack

TIMES = 10
PROBES = 25
"""A second, by a client that has nothing else to do."""
STEP_S = 0.25


def request(measured: Measured, key: str) -> tuple[str, int, bytes]:
    """Host, port and the bytes of a request that is not streamed."""
    door = Door(measured.stack.base_url)
    return door.host, door.port, door.request(key)


async def closed(measured: Measured, connections: int, seconds: float) -> Result:
    """As much as so many connections get through."""
    target = request(measured, measured.key)
    return await asyncio.to_thread(lambda: uvloop.run(run(*target, connections=connections, seconds=seconds)))


async def opened(measured: Measured, loads: dict[str, float], seconds: float) -> dict[str, Sent]:
    """Each key sends at its rate; all from one thread."""

    async def all_of_them() -> list[Sent]:
        targets = [(request(measured, key), rate) for key, rate in loads.items()]
        return await asyncio.gather(*(send(*target, rate=rate, seconds=seconds) for target, rate in targets))

    sent = await asyncio.to_thread(lambda: uvloop.run(all_of_them()))
    return dict(zip(loads, sent, strict=True))


async def best_rate(measured: Measured, seconds: float) -> float:
    """Requests a second, of the number of connections that gets most through."""
    # The gateway learns what quiet is, as each does between two loads.
    await closed(measured, 1, 4)
    await closed(measured, 16, 4)
    rates: dict[int, float] = {}
    for connections in (32, 48, 64):
        result = await closed(measured, connections, seconds)
        rates[connections] = result.rate * (1 - result.errors / len(result.samples))
    report("; ".join(f"{connections} connections: {rate:.0f}/s" for connections, rate in rates.items()))
    return max(rates.values())


class Memory:
    """The most that each process had, looked at ten times a second."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._stop = threading.Event()
        self.most: dict[str, int] = {}

    def __enter__(self) -> "Memory":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            for name, mib in self._measured.memory_mib().items():
                self.most[name] = max(mib, self.most.get(name, 0))


def recovered_after_s(sent: Sent, usual_ms: float) -> float:
    """When the first step begins from which on all requests are answered, and in twice the usual time."""
    bad = [at for at, sample in sent.samples if sample.status != 200 or sample.total_s * 1000 > 2 * usual_ms]
    late = max(bad, default=-STEP_S)
    return (late // STEP_S + 1) * STEP_S


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    async with measured_stack(options.kafka) as measured:
        best = await best_rate(measured, options.seconds / 6)
        report(f"80 % of {best:.0f}/s")
        usual = (await opened(measured, {measured.key: 0.8 * best}, options.seconds / 3))[measured.key]
        before = measured.memory_mib()
        report(f"{TIMES} times {best:.0f}/s, {options.seconds:.0f} s")
        with Memory(measured) as memory:
            sent, probed = await asyncio.gather(
                opened(measured, {measured.key: TIMES * best}, options.seconds),
                beside(*request(measured, measured.key), rate=PROBES, seconds=options.seconds),
            )
        over = sent[measured.key]
        after = (await opened(measured, {measured.key: 0.5 * best}, 8))[measured.key]
        await asyncio.sleep(1)
        _print(best, usual, over, after, before, memory.most)
        _print_probed(probed)


def _print_probed(probed: list[Sample]) -> None:
    refused = [sample.total_s * 1000 for sample in probed if sample.status != 200]
    out.print(f"\na client in a process of its own, {PROBES}/s: {len(refused)} of {len(probed)} refused, in ms at")
    as_table([{f"{percent} %": f"{percentile(refused, percent):.0f}" for percent in (50, 90, 95, 99)}], "")


def _print(best: float, usual: Sent, over: Sent, after: Sent, before: dict[str, int], most: dict[str, int]) -> None:
    throughput = over.answered / over.seconds
    total = len(over.samples) + over.failed + over.unsent
    rows: list[tuple[str, str, str]] = [
        ("p99 of what is answered, of that at 80 % load", f"{over.ms(99) / usual.ms(99):.2f}", "≤ 3"),
        ("throughput, of the best", f"{throughput / best:.2f}", "≥ 0.85"),
        ("refused in, p99 ms", f"{over.ms(99, refused=True):.0f}", "≤ 50"),
        ("recovery, s", f"{recovered_after_s(after, usual.ms(99)):.2f}", "≤ 2"),
        ("memory, of before", f"{sum(most.values()) / sum(before.values()):.2f}", "≤ 1.5"),
    ]
    as_table([{"what": what, "measured": value, "goal": goal} for what, value, goal in rows], "")
    loads: list[dict[str, Any]] = [_row("80 %", usual), _row(f"{TIMES} times", over), _row("then 50 %", after)]
    out.print()
    as_table(loads, "")
    out.print(f"\nbest: {best:.0f}/s; sent {total / over.seconds:.0f}/s; memory MiB before and at most:")
    as_table([{"process": name, "before": before[name], "at most": most.get(name, 0)} for name in before], "")


def _row(what: str, sent: Sent) -> dict[str, Any]:
    return {
        "load": what,
        "answered_per_s": round(sent.answered / sent.seconds),
        "p50_ms": round(sent.ms(50)),
        "p99_ms": round(sent.ms(99)),
        "refused_per_s": round(sent.refused / sent.seconds),
        "refused_p50_ms": round(sent.ms(50, refused=True), 1) if sent.refused else None,
        "refused_p99_ms": round(sent.ms(99, refused=True), 1) if sent.refused else None,
        "other": len(sent.samples) - sent.answered - sent.refused,
        "broken": sent.failed,
        "unsent": sent.unsent,
    }


def options_of(name: str, text: str | None) -> argparse.Namespace:
    """The options of this measurement and of `tests.bench.fairness`."""
    parser = argparse.ArgumentParser(prog=f"sluice bench {name}", description=text)
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        started = time.perf_counter()
        asyncio.run(main(options_of("overload", __doc__)))
        report(f"took {time.perf_counter() - started:.0f} s")
    except StackError as error:
        sys.exit(f"sluice bench: {error}")
