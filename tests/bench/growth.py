"""``./sluice bench growth``: many requests of mixed sizes through one stack: does it slow down, does memory grow?

With ``--by instances``, ``partitions`` or ``owners``: what becomes of a stack that has more of them;
``--by traffic``: what each request leaves on the log.
"""

import asyncio
import json
import random
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import orjson

from services.cli.output import as_table, report
from tests.bench.growing import KINDS
from tests.bench.stacks import Measured, finish, measured_stack
from tests.bench.traffic import by_traffic

CONNECTIONS = 8
BY = {**KINDS, "traffic": by_traffic}
WINDOW = 1_000
SIZES = ((0.9, 2_000), (0.08, 20_000), (0.0175, 200_000), (0.0025, 10 * 2**20))
"""Shares of requests, and bytes of their prompts."""


@dataclass(slots=True)
class _Run:
    """What was seen so far."""

    taken_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)


async def main(options: Namespace) -> None:
    """Measures and prints."""
    if options.by == "requests":
        await by_requests(options)
        return
    rows = await BY[options.by](options)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        as_table(rows, "")


async def by_requests(options: Namespace) -> None:
    """Loads and prints a row for each thousand requests."""
    async with measured_stack(options.kafka, config=Path(__file__).with_name("growth.yaml")) as measured:
        run = _Run()
        numbers = iter(range(options.requests))
        started = time.monotonic()
        limits = httpx.Limits(max_connections=CONNECTIONS)
        async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as http:
            await asyncio.gather(*(_ask_on(measured, http, numbers, run, options.seed) for _ in range(CONNECTIONS)))
        took_s = time.monotonic() - started
    first, last = run.rows[0]["p50_ms"], run.rows[-1]["p50_ms"]
    summary = {
        "requests": len(run.taken_s),
        "statuses": dict(run.statuses),
        "seconds": round(took_s, 1),
        "p50_last_to_first": round(last / first, 2),
        "seed": options.seed,
    }
    if options.json:
        sys.stdout.write(json.dumps({"summary": summary, "rows": run.rows}, indent=1) + "\n")
        return
    as_table(run.rows, "")
    as_table([summary], "")


async def _ask_on(measured: Measured, http: httpx.AsyncClient, numbers: Any, run: _Run, seed: int) -> None:
    for number in numbers:
        body = _body(random.Random(f"{seed}/{number}"))
        started = time.perf_counter()
        response = await http.post(
            f"{measured.stack.base_url}/chat/completions",
            content=body,
            headers={"Authorization": f"Bearer {measured.key}", "Content-Type": "application/json"},
        )
        run.taken_s.append(time.perf_counter() - started)
        run.statuses[response.status_code] += 1
        if len(run.taken_s) % WINDOW == 0:
            _note(measured, run)


def _body(chance: random.Random) -> bytes:
    (size,) = chance.choices([size for _, size in SIZES], [share for share, _ in SIZES])
    content = "word " * (size // 5)
    return orjson.dumps({"model": "stub/echo", "messages": [{"role": "user", "content": content}]})


def _note(measured: Measured, run: _Run) -> None:
    memory = measured.memory_mib()
    row = {
        "requests": len(run.taken_s),
        "p50_ms": round(median(run.taken_s[-WINDOW:]) * 1000, 1),
        "p99_ms": round(sorted(run.taken_s[-WINDOW:])[int(WINDOW * 0.99)] * 1000, 1),
        **{name: memory[name] for name in memory},
    }
    run.rows.append(row)
    report(f"{row['requests']}: p50 {row['p50_ms']} ms, {sum(memory.values())} MiB")


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench growth", description=__doc__)
    parser.add_argument("--by", choices=("requests", *BY), default="requests", help="what there is more and more of")
    parser.add_argument("--requests", type=int, default=20_000, help="by requests: how many")
    parser.add_argument("--seed", type=int, default=1, help="by requests: of their sizes")
    parser.add_argument("--connections", type=int, default=64, help="else: requests in flight")
    parser.add_argument("--seconds", type=float, default=8, help="else: of each round")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout")
    try:
        finish(main(parser.parse_args()))
    except AssertionError as error:
        sys.exit(f"sluice bench growth: {error}")
