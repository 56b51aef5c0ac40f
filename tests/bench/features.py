"""``./sluice bench features``: what features cost those who do not use them.

Two stacks run at the same time, one with a plain configuration and one with aliases, fallbacks, several keys with
quotas, retries, the answer cache, guardrails, MCP servers, batches and prices of tiers, of which another owner has used
each that can be. Short rounds of load go to one and the other in turn, so that what the machine does meanwhile meets
both. The requests are the same, and use nothing of it.
"""

import argparse
import asyncio
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml

from deploy.local.home import ROOT
from services.cli.client import ManagementClient
from services.cli.output import as_table, out, report
from tests.bench.asking import Door
from tests.bench.stacks import ENVIRONMENT, Measured, finish, measured_stack

CONFIG = Path(__file__).with_name("features.yaml")
GUARDRAILS: dict[str, Any] = yaml.safe_load((ROOT / "docs/examples/guardrails.yaml").read_text())


@dataclass(slots=True)
class Side:
    """One of both, and what its rounds took."""

    name: str
    measured: Measured
    cpu_us: list[float] = field(default_factory=list)
    """Of all processes, a request."""
    per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    errors: int = 0

    async def round(self, connections: int, seconds: float) -> None:
        """One round of load."""
        door = Door(self.measured.stack.base_url)
        before = self._cpu_s()
        result = await door.load(self.measured.key, connections=connections, seconds=seconds)
        self.cpu_us.append((self._cpu_s() - before) / max(1, len(result.samples)) * 1e6)
        self.per_s.append(result.rate)
        self.p50_ms.append(result.total_ms(50))
        self.errors += result.errors

    def _cpu_s(self) -> float:
        return sum(spent for name, spent in self.measured.cpu_s().items() if name != "stub")

    def row(self) -> dict[str, Any]:
        """For a table."""
        return {
            "configuration": self.name,
            "requests/s": round(statistics.median(self.per_s), 1),
            "p50 ms": round(statistics.median(self.p50_ms), 2),
            "CPU µs a request": round(statistics.median(self.cpu_us)),
            "errors": self.errors,
        }


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    environment = ENVIRONMENT | {"OTHER_KEY": "sk-bench-1", "OTHER_KEY_2": "sk-bench-2"}
    async with (
        measured_stack(options.kafka) as plain,
        measured_stack(options.kafka, config=CONFIG, environment=environment) as full,
    ):
        report("another owner uses what there is")
        await _use(full)
        sides = Side("plain", plain), Side("features, unused", full)
        for side in sides:
            await side.round(options.connections, 4)
            for values in (side.cpu_us, side.per_s, side.p50_ms):
                values.clear()
        for number in range(options.rounds):
            report(f"round {number + 1} of {options.rounds}")
            for side in sides if number % 2 else reversed(sides):
                await side.round(options.connections, options.seconds)
        _print(sides, as_json=options.json)


async def _use(full: Measured) -> None:
    """An organization with guardrails and rules, a server of MCP, and a cached answer: none of them the bench's."""
    stack = full.stack
    console = ManagementClient(stack.console_url, stack.operator_token())
    account = await asyncio.to_thread(console.call, "POST", "/api/accounts", {"email": "other@example.com"})
    scopes = {"scopes": ["inference", "manage"]}
    key = (await asyncio.to_thread(console.call, "POST", f"/api/accounts/{account['id']}/keys", scopes))["key"]
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=60) as http:
        made = (await http.post(f"{stack.console_url}/api/organizations", json={"name": "Other"})).raise_for_status()
        path = f"{stack.console_url}/api/organizations/{made.json()['id']}"
        (await http.put(f"{path}/policy", json=GUARDRAILS)).raise_for_status()
        (await http.put(f"{path}/mcp-servers/tools", json={"url": "https://mcp.example.com/mcp"})).raise_for_status()
        body = {"model": "stub/echo", "messages": [{"role": "user", "content": "hi"}], "cache": {"ttl": 600}}
        (await http.post(f"{stack.base_url}/chat/completions", json=body)).raise_for_status()


def _print(sides: tuple[Side, Side], *, as_json: bool) -> None:
    plain, full = sides
    shares = [(b / a - 1) * 100 for a, b in zip(plain.cpu_us, full.cpu_us, strict=True)]
    # The plain stack against itself, from one round to the next: what a difference of nothing looks like.
    noise = [(b / a - 1) * 100 for a, b in zip(plain.cpu_us, plain.cpu_us[1:], strict=False)]
    rows = [side.row() for side in sides]
    middle, half = statistics.median(shares), statistics.stdev(shares) / len(shares) ** 0.5 * 2
    if as_json:
        found = {"rows": rows, "cpu_percent": middle, "within_percent": half, "rounds": shares, "noise": noise}
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    as_table(rows, "")
    out.print(f"\nCPU a request, with features that nobody uses: {middle:+.1f} %, ± {half:.1f} (two standard errors)")
    out.print(f"plain, from one of {len(shares)} rounds to the next: {min(noise):+.1f} to {max(noise):+.1f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sluice bench features", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=6, help="of each round, on each side")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
