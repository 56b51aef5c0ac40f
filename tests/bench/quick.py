"""``./sluice bench quick``: starts a stack of its own with the stub provider, loads it, and prints what it measured.

Absolute figures are of this machine; quote the ratio to the stub called directly, which is measured in the same run.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from contracts.control import CredentialChanged
from deploy.local.home import Home
from deploy.local.options import STUB_CONFIG, StackOptions
from deploy.local.ports import free_port
from deploy.local.stack import Stack
from libs.config.catalog import Catalog
from libs.config.gateway import load_config
from libs.sealing.credentials import at_rest, credential_id
from libs.sealing.envelope import KeyRing, LocalKeys
from libs.sealing.grants import Epoch
from services.cli.client import ManagementClient
from services.cli.output import as_table, out, report
from services.key_vault.core.book import Credential, CredentialBook
from services.key_vault.core.granting import Granting
from tests.bench.asking import Door
from tests.bench.load import Result
from tests.bench.stacks import finish
from tests.unit.records import accepted


async def main(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        stack = Stack(
            Home(Path(folder) / "home"),
            StackOptions(
                config=STUB_CONFIG, stub=True, kafka=options.kafka, port=free_port(), environment=_ENVIRONMENT
            ),
            report,
        )
        await stack.start()
        try:
            await _measure(stack, options)
        finally:
            await stack.stop()


_ENVIRONMENT = {"SLUICE_TELEMETRY__SAMPLE_RATIO": "0", "SLUICE_BILLING__PREPAID": "false"}


async def _measure(stack: Stack, options: argparse.Namespace) -> None:
    console = ManagementClient(stack.console_url, stack.operator_token())
    account = await asyncio.to_thread(console.call, "POST", "/api/accounts", {"email": "bench@example.com"})
    key = (await asyncio.to_thread(console.call, "POST", f"/api/accounts/{account['id']}/keys", {}))["key"]
    gateway = partial(Door(stack.base_url).load, key)
    direct = partial(Door(f"{stack.stub_url}/v1", "echo-1").load, stack.stub_key())
    rows: list[dict[str, Any]] = []
    await gateway(connections=16, seconds=3)
    for connections in (1, 16, 64):
        report(f"{connections} connections, {options.seconds} s each")
        straight = await direct(connections=connections, seconds=min(3, options.seconds))
        before = _cpu(stack)
        result = await gateway(connections=connections, seconds=options.seconds)
        rows.append(_row(f"{connections} connections", result, straight, _spent(before, _cpu(stack), result)))
    report("20 streams of 200 chunks, 5 ms apart")
    straight = await direct(stream=True, connections=20, seconds=60, each=1)
    before = _cpu(stack)
    result = await gateway(stream=True, connections=20, seconds=60, each=3)
    rows.append(_row("20 streams", result, straight, _spent(before, _cpu(stack), result)))
    memory = {name: psutil.Process(child.pid).memory_info().rss // 2**20 for name, child in stack.children.items()}
    report("revocations, at two ingresses")
    revocation_ms = await _revocations(stack, account["id"])
    if options.json:
        content = {"rows": rows, "memory_mib": memory, "revocation_ms": revocation_ms}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return
    as_table([{name: value for name, value in row.items() if name != "cpu_us_a_request"} for row in rows], "")
    out.print()
    processes = [{"process": name, "memory MiB": memory[name]} for name in memory]
    for process in processes:
        name = str(process["process"])
        process |= {f"CPU µs a request, {row['what']}": row["cpu_us_a_request"][name] for row in rows}
    as_table(processes, "")
    ordered = sorted(revocation_ms)
    out.print(f"\nthe vault seals {_grants_per_s():,.0f} users' own keys a second on one core")
    middle, worst = ordered[len(ordered) // 2], ordered[-1]
    out.print(f"\na revoked key is refused by both ingresses after {middle} ms (p50), {worst} ms at most")


def _grants_per_s(count: int = 20_000) -> float:
    """The vault's own work for a request with a user's own key: open it at rest, seal it for the relay."""
    ring, book, request = KeyRing(LocalKeys({"v1": b"1" * 32})), CredentialBook(), accepted(model="stub/echo")
    about = CredentialChanged(
        credential_id=credential_id("acct:a", "stub"),
        provider_id="stub",
        owner="acct:a",
        tail="",
        submitted_by="a",
        created_at_ms=0,
        updated_at_ms=0,
    )
    book.put([Credential(about, ring.seal(b"sk-bench-key-of-usual-length-0123456789", at_rest("acct:a", "stub")))])
    granting = Granting({}, book, ring)
    catalog, epoch = Catalog(load_config(STUB_CONFIG)), Epoch.generate("bench", lambda _: 0)
    started = time.perf_counter()
    for _ in range(count):
        granting.grant(request, catalog, epoch)
    return count / (time.perf_counter() - started)


async def _revocations(stack: Stack, account_id: str) -> list[int]:
    """Milliseconds from the answer of the console until no ingress takes the key; polled."""
    await stack.start_service("ingress", 2)
    doors = [stack.ingress_url(number) for number in (1, 2)]
    found: list[int] = []
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        operator = {"Authorization": f"Bearer {stack.operator_token()}"}

        async def refused(door: str, key: str) -> bool:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            response = await http.post(f"{door}/chat/completions", content=b"{}", headers=headers)
            return response.status_code == 401

        while not (await stack.health())["ingress-2"].get("ready"):
            await asyncio.sleep(0.1)
        for _ in range(20):
            keys = f"{stack.console_url}/api/accounts/{account_id}/keys"
            issued = (await http.post(keys, json={}, headers=operator)).json()
            assert not any([await refused(door, issued["key"]) for door in doors])
            await http.delete(f"{stack.console_url}/api/keys/{issued['id']}", headers=operator)
            started = time.perf_counter()
            while not all([await refused(door, issued["key"]) for door in doors]):
                await asyncio.sleep(0.002)
            found.append(round((time.perf_counter() - started) * 1000))
    return found


def _cpu(stack: Stack) -> dict[str, float]:
    times = {name: psutil.Process(child.pid).cpu_times() for name, child in stack.children.items()}
    return {name: spent.user + spent.system for name, spent in times.items()}


def _spent(before: dict[str, float], after: dict[str, float], result: Result) -> dict[str, int]:
    """Microseconds of CPU a request, by process."""
    count = max(1, len(result.samples))
    return {name: round((after[name] - before[name]) / count * 1e6) for name in after}


def _row(what: str, result: Result, straight: Result, cpu_us: dict[str, int]) -> dict[str, Any]:
    return {
        "what": what,
        "per_s": round(result.rate, 1),
        "p50_ms": round(result.total_ms(50), 1),
        "p95_ms": round(result.total_ms(95), 1),
        "first_byte_p50_ms": round(result.first_byte_ms(50), 1),
        "first_byte_p95_ms": round(result.first_byte_ms(95), 1),
        "errors": result.errors,
        "direct_per_s": round(straight.rate, 1),
        "direct_p50_ms": round(straight.total_ms(50), 2),
        "cpu_us_a_request": cpu_us,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sluice bench quick", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of load at each number of connections")
    parser.add_argument("--kafka", default="embedded", help="embedded or HOST:PORT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    finish(main(parser.parse_args()))
