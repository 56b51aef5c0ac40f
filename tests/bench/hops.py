"""``./sluice bench hops``: a request's way through the services, from its traces: when each step begins and ends.

One connection whose requests are traced, alone and then beside others that are not. Medians over all its requests; a
step begins so long after the ingress has the request, and what lies between two steps is the log.
"""

import argparse
import asyncio
import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from deploy.local.collector import Collector, Span
from deploy.local.ports import LOOPBACK, free_port
from libs.runtime.server import HttpServer
from services.cli.output import as_table
from tests.bench.asking import Door, traceparent
from tests.bench.stacks import Measured, finish, measured_stack

IN_FLIGHT = (1, 64)
ARRIVES_WITHIN_S = 10.0
Step = tuple[str, str]
"""Service and span."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of a step: medians, in ms."""

    begins: float
    lasts: float


def timings(traces: Iterable[list[Span]]) -> dict[Step, Timing]:
    """Of each step that a trace has, in the order in which they begin. Pure."""
    begins, lasts = defaultdict(list), defaultdict(list)
    for spans in traces:
        if not spans:
            continue
        first_ns = min(span.start_ns for span in spans)
        for span in spans:
            begins[span.service, span.name].append((span.start_ns - first_ns) / 1e6)
            lasts[span.service, span.name].append((span.end_ns - span.start_ns) / 1e6)
    found = {step: Timing(median(begins[step]), median(lasts[step])) for step in begins}
    return dict(sorted(found.items(), key=lambda one: one[1].begins))


def rows(found: dict[int, dict[Step, Timing]]) -> list[dict[str, Any]]:
    """A table of all steps, with columns for each number of requests in flight. Pure."""
    steps = list(dict.fromkeys(step for of_one in found.values() for step in of_one))
    table = []
    for service, name in steps:
        row: dict[str, Any] = {"service": service, "step": name}
        for in_flight, of_one in found.items():
            timing = of_one.get((service, name))
            row[f"{in_flight}: begins ms"] = f"{timing.begins:.1f}" if timing else ""
            row[f"{in_flight}: lasts ms"] = f"{timing.lasts:.1f}" if timing else ""
        table.append(row)
    return table


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    port, collector = free_port(), Collector()
    server = HttpServer(collector.application(), LOOPBACK, port)
    await server.start()
    try:
        async with measured_stack(options.kafka, otlp_endpoint=f"http://{LOOPBACK}:{port}") as measured:
            await _drive(measured, 16, options.warm_up)
            found = {}
            for in_flight in IN_FLIGHT:
                ids = await _drive(measured, in_flight, options.seconds)
                found[in_flight] = timings(await _traces(collector, ids))
    finally:
        await server.stop()
    as_table(rows(found), "")


async def _traces(collector: Collector, ids: list[str]) -> list[list[Span]]:
    """What has come of the requests; exporters send twice a second. Those whose spans may still come are left out."""
    async with asyncio.timeout(ARRIVES_WITHIN_S):
        while not collector.trace(ids[-1]):
            await asyncio.sleep(0.1)
    found = [collector.trace(one) for one in ids]
    whole = max(len(spans) for spans in found)
    return [spans for spans in found if len(spans) == whole]


async def _drive(measured: Measured, in_flight: int, seconds: float) -> list[str]:
    """So many requests at a time; the trace IDs of one connection's."""
    door, ids = Door(measured.stack.base_url), []

    def traced() -> bytes:
        ids.append(secrets.token_hex(16))
        return door.request(measured.key, traceparent(ids[-1], sampled=True))

    def untraced() -> bytes:
        return door.request(measured.key, traceparent(secrets.token_hex(16), sampled=False))

    await asyncio.gather(
        door.keep_busy(traced, connections=1, seconds=seconds),
        door.keep_busy(untraced, connections=in_flight - 1, seconds=seconds),
    )
    return ids


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sluice bench hops", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="at each number of requests in flight")
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    finish(main(parser.parse_args()))
