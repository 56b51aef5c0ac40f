"""``./sluice bench features``: what features cost those who do not use them.

Two stacks run at the same time, one with a plain configuration and one with aliases, fallbacks, several keys with
quotas, retries, the answer cache, guardrails, MCP servers, batches and prices of tiers, of which another owner has used
each that can be. Short rounds of load go to one and the other in turn, so that what the machine does meanwhile meets
both. The requests are the same, and use nothing of it.
"""

import argparse
import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.local.home import ROOT
from services.cli.client import ManagementClient
from services.cli.output import report
from tests.bench.asking import Door
from tests.bench.sides import Side, in_turns, show
from tests.bench.stacks import ENVIRONMENT, Measured, finish, measured_stack

CONFIG = Path(__file__).with_name("features.yaml")
GUARDRAILS: dict[str, Any] = yaml.safe_load((ROOT / "docs/examples/guardrails.yaml").read_text())


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    environment = ENVIRONMENT | {"OTHER_KEY": "sk-bench-1", "OTHER_KEY_2": "sk-bench-2"}
    async with (
        measured_stack(options.kafka) as plain,
        measured_stack(options.kafka, config=CONFIG, environment=environment) as full,
    ):
        report("another owner uses what there is")
        await _use(full)
        first, second = _side("plain", plain), _side("features, unused", full)
        for measured in (plain, full):
            await Door(measured.stack.base_url).load(measured.key, connections=options.connections, seconds=4)
        await in_turns(first, second, rounds=options.rounds, connections=options.connections, seconds=options.seconds)
        show(first, second, as_json=options.json)


def _side(name: str, measured: Measured) -> Side:
    def cpu_s() -> float:
        return sum(spent for process, spent in measured.cpu_s().items() if process != "stub")

    return Side(name, partial(Door(measured.stack.base_url).load, measured.key), cpu_s)


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sluice bench features", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=6, help="of each round, on each side")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
