"""``./sluice bench waiting``: an agent's requests, all at once, without waiting for one another and with it.

Their credit covers what they cost, but not what they hold.
"""

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from typing import Any

import httpx

from services.cli.client import ManagementClient
from services.cli.output import as_json, as_table, report
from tests.bench.stacks import Measured, finish, measured_stack
from tests.stacks import chat, until

WAITS_S = (0, 3, 10)
MOST_TOKENS = 1_000
"""Holds 8,000 microdollars and a few for the prompt; an answer costs about 100."""
TEXT = "[[stub gap_ms=25]]"


async def main(options: Namespace) -> None:
    """Measures and prints."""
    rows: list[dict[str, Any]] = []
    for wait_s in WAITS_S:
        environment = {"SLUICE_TELEMETRY__SAMPLE_RATIO": "0", "SLUICE_LIMITS__WAIT_S": str(wait_s)}
        async with measured_stack(options.kafka, environment=environment) as measured:
            report(f"{options.requests} requests at once on {options.usd} USD, waiting up to {wait_s} s")
            rows.append({"limits.wait_s": wait_s, **await _measure(measured, options)})
    if options.json:
        as_json(rows)
    else:
        as_table(rows, "")


async def _measure(measured: Measured, options: Namespace) -> dict[str, Any]:
    console = ManagementClient(measured.stack.console_url, measured.stack.operator_token())
    path = f"/api/accounts/{measured.account_id}/credit"
    await asyncio.to_thread(console.call, "POST", path, {"usd": options.usd})
    url, headers = f"{measured.stack.base_url}/chat/completions", {"Authorization": f"Bearer {measured.key}"}
    limits = httpx.Limits(max_connections=options.requests)
    async with httpx.AsyncClient(timeout=60, limits=limits, headers=headers, trust_env=False) as http:

        async def ask() -> tuple[int, float, int]:
            started = time.perf_counter()
            answer = await http.post(url, json=chat(TEXT, max_tokens=MOST_TOKENS))
            took_s = time.perf_counter() - started
            return answer.status_code, took_s, int(answer.headers.get("x-sluice-waited-ms", 0))

        async def let_in() -> bool | None:
            return (await ask())[0] == 200 or None

        await until(let_in, what="credit")
        answers = await asyncio.gather(*(ask() for _ in range(options.requests)))
    statuses = Counter(status for status, _, _ in answers)
    good = sorted(took_s for status, took_s, _ in answers if status == 200)
    return {
        "answered": statuses[200],
        "refused": ", ".join(f"{count} with {status}" for status, count in sorted(statuses.items()) if status != 200),
        "p50_ms": round(good[len(good) // 2] * 1000),
        "slowest_ms": round(good[-1] * 1000),
        "waited": sum(1 for status, _, waited_ms in answers if status == 200 and waited_ms),
        "longest_wait_ms": max(waited_ms for _, _, waited_ms in answers),
    }


if __name__ == "__main__":
    parser = ArgumentParser(prog="sluice bench waiting", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="at once")
    parser.add_argument("--usd", default="0.10", help="the credit")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
