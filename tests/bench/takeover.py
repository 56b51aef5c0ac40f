"""``./sluice bench takeover``: how long requests wait when a service is killed, or is restarted in good order.

A request begins every 50 ms. The figure is the longest time that one of them took, from the signal on; next to it what
they take when nothing happens. ``alone``: the service's only process, which the supervisor starts again. ``of two``:
one of two processes, which is not started again, so that the other must take its partitions over.
"""

import asyncio
import json
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from itertools import cycle
from statistics import median
from typing import Any

import httpx

from services.cli.output import as_table, report
from tests.bench.stacks import Measured, measured_stack

EVERY_S = 0.05
WATCH_S = 15.0
CALM_S = 3.0
ACCOUNTS = 16
SERVICES = ("policy", "rate-limit", "key-vault", "router", "relay")


class Stream:
    """Requests at an even pace, each with the time it took, of as many accounts as it takes to meet every partition."""

    def __init__(self, measured: Measured, http: httpx.AsyncClient) -> None:
        self._measured = measured
        self._http = http
        self._keys = cycle([measured.key, *measured.more_keys])
        self.taken: list[tuple[float, float, int]] = []
        """When it began (monotonic), seconds, status."""

    async def run(self, seconds: float) -> None:
        """Begins requests for so long, then waits for their answers."""
        ends = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < ends:
                group.create_task(self._ask())
                await asyncio.sleep(EVERY_S)

    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            response = await self._http.post(
                f"{self._measured.stack.base_url}/chat/completions",
                json={"model": "stub/echo", "messages": [{"role": "user", "content": "hi"}]},
                headers={"Authorization": f"Bearer {next(self._keys)}"},
            )
            status = response.status_code
        except httpx.TransportError:
            status = 0
        self.taken.append((began, time.monotonic() - began, status))


async def main(options: Namespace) -> None:
    """Measures each service and prints."""
    rows: list[dict[str, Any]] = []
    async with (
        measured_stack(options.kafka, accounts=ACCOUNTS) as measured,
        httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=500), trust_env=False) as http,
    ):
        await Stream(measured, http).run(CALM_S)
        for service in options.services:
            for name, number in (("SIGKILL", signal.SIGKILL), ("SIGTERM", signal.SIGTERM)):
                report(f"{service}: {name}, alone")
                rows.append(await _measure(measured, http, service, name, number))
        for service in options.services:
            report(f"{service}: SIGKILL, of two")
            rows.append(await _measure_pair(measured, http, service))
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        as_table(rows, "")


async def _measure(measured: Measured, http: httpx.AsyncClient, service: str, what: str, number: int) -> dict[str, Any]:
    stream = Stream(measured, http)
    running = asyncio.create_task(stream.run(CALM_S + WATCH_S))
    await asyncio.sleep(CALM_S)
    began = time.monotonic()
    measured.stack.children[service].kill(number)
    await running
    return _row(f"{service}, alone", what, stream, began)


async def _measure_pair(measured: Measured, http: httpx.AsyncClient, service: str) -> dict[str, Any]:
    second = await measured.stack.start_service(service, 2)
    while not (await measured.stack.health())[f"{service}-2"].get("ready"):
        await asyncio.sleep(0.1)
    stream = Stream(measured, http)
    running = asyncio.create_task(stream.run(CALM_S + WATCH_S))
    await asyncio.sleep(CALM_S)
    began = time.monotonic()
    second.kill_for_good()
    await running
    await measured.stack.remove_service(service, 2)
    return _row(f"{service}, of two", "SIGKILL", stream, began)


def _row(what: str, signal_name: str, stream: Stream, began: float) -> dict[str, Any]:
    calm = [taken for at, taken, _ in stream.taken if at < began - 1]
    after = [taken for at, taken, _ in stream.taken if at >= began - 0.5]
    return {
        "service": what,
        "signal": signal_name,
        "longest_s": round(max(after), 2),
        "calm_p50_s": round(median(calm), 3),
        "requests": len(stream.taken),
        "failed": sum(1 for _, _, status in stream.taken if status != 200),
    }


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench takeover", description=__doc__)
    parser.add_argument("services", nargs="*", default=SERVICES)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout")
    asyncio.run(main(parser.parse_args()))
