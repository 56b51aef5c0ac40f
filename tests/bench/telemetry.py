"""``python -m tests.bench.telemetry``: what traces cost, as CPU of a request, with none, 1 % and all sampled.

One stack, with a collector that takes everything, and rounds that alternate: an hour's noise of the machine is in each
alike. Metrics and logs are on throughout; what a measurement costs is in ADR 28.
"""

import argparse
import asyncio
import random
import secrets
import sys
from collections import defaultdict

from deploy.local.collector import Collector
from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK, free_port
from libs.runtime.server import HttpServer
from services.cli.output import as_table, report
from tests.bench.asking import Door, traceparent
from tests.bench.stacks import Measured, measured_stack

CONNECTIONS = 16
RATIOS = (0.0, 0.01, 1.0)
_NOT_OURS = ("broker", "postgres", "stub")


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    port = free_port()
    collector = HttpServer(Collector().application(), LOOPBACK, port)
    await collector.start()
    try:
        async with measured_stack(options.kafka, otlp_endpoint=f"http://{LOOPBACK}:{port}") as measured:
            await _round(measured, 0.0, options.seconds)
            found: dict[float, list[float]] = defaultdict(list)
            for number in range(options.rounds):
                for ratio in RATIOS if number % 2 else reversed(RATIOS):
                    report(f"round {number + 1}, {ratio:.0%} sampled")
                    found[ratio].append(await _round(measured, ratio, options.seconds))
    finally:
        await collector.stop()
    none = sorted(found[0.0])[len(found[0.0]) // 2]
    rows = [
        {
            "sampled": f"{ratio:.0%}",
            "CPU µs a request (median)": round(middle := sorted(found[ratio])[len(found[ratio]) // 2]),
            "rounds": ", ".join(f"{value:.0f}" for value in found[ratio]),
            "more than none": f"{middle / none - 1:+.1%}",
        }
        for ratio in RATIOS
    ]
    as_table(rows, "")


async def _round(measured: Measured, ratio: float, seconds: float) -> float:
    """CPU of all services, in microseconds a request."""
    before, door = _cpu_s(measured), Door(measured.stack.base_url)

    def make() -> bytes:
        return door.request(measured.key, traceparent(secrets.token_hex(16), sampled=random.random() < ratio))

    result = await door.keep_busy(make, connections=CONNECTIONS, seconds=seconds)
    # Spans are sent half a second later.
    await asyncio.sleep(1)
    return (_cpu_s(measured) - before) / len(result.samples) * 1e6


def _cpu_s(measured: Measured) -> float:
    return sum(seconds for name, seconds in measured.cpu_s().items() if name not in _NOT_OURS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    try:
        asyncio.run(main(parser.parse_args()))
    except StackError as error:
        sys.exit(f"{error}")
