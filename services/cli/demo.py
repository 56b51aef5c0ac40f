"""``demo``: the whole way of one request, to look at."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import httpx
import orjson
import typer

from deploy.local.collector import Collector, Span
from deploy.local.errors import StackError
from deploy.local.home import Home, default_homes
from deploy.local.options import STUB_CONFIG, StackOptions
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.stack import Stack
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.surfaces.chat.stream import DONE
from libs.runtime.server import HttpServer
from services.cli.client import ManagementClient
from services.cli.output import out, report
from services.cli.run import Port, until_stopped

MODEL = "stub/echo"
EMAIL = "demo@example.com"
CREDIT_USD = "10"
QUESTION = "What does a gateway do all day? [[stub chunks=18 gap_ms=40]]"
HOPS = {"ingress", "policy", "rate-limit", "key-vault", "router", "relay", "metering"}
WITHIN_S = 15.0
BAR = 40


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after one completion.")] = False,
    port: Port = 8080,
) -> None:
    """Start everything with a stub provider, and send one completion through all services."""
    _, home = default_homes()
    asyncio.run(_demo(home, once=once, port=port))


async def _demo(home: Home, *, once: bool, port: int) -> None:
    stopping = asyncio.create_task(until_stopped())
    showing = asyncio.create_task(_show(home, port, stopping, once=once))
    await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not showing.done():
        report("stopping")
        showing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await showing


async def _show(home: Home, port: int, stopping: "asyncio.Task[None]", *, once: bool) -> None:
    collector = Collector()
    async with _started(home, port, collector) as stack:
        key = await asyncio.to_thread(_demo_key, stack)
        out.print(f"\nbase URL   {stack.base_url}\nAPI key    {key}\n\n{_curl(stack.base_url, key)}\n", markup=False)
        request_id, trace_id = await _stream(stack.base_url, key)
        _print_time_line(await _spans(collector, trace_id))
        _print_entry(await _ledger_entry(stack, request_id))
        if not once:
            report("\nCtrl-C stops it")
            await stopping


@asynccontextmanager
async def _started(home: Home, port: int, collector: Collector) -> AsyncIterator[Stack]:
    trace_port = free_port()
    receiver = HttpServer(collector.application(), LOOPBACK, trace_port)
    options = StackOptions(config=STUB_CONFIG, stub=True, port=port, otlp_endpoint=f"http://{LOOPBACK}:{trace_port}")
    stack = Stack(home, options, report)
    await receiver.start()
    try:
        await stack.start()
        home.save(stack.state())
        yield stack
    finally:
        await stack.stop()
        await receiver.stop()


def _demo_key(stack: Stack) -> str:
    console = ManagementClient(stack.console_url, stack.operator_token())
    accounts = [account["id"] for account in console.call("GET", "/api/accounts") if account["email"] == EMAIL]
    account_id = accounts[0] if accounts else console.call("POST", "/api/accounts", {"email": EMAIL})["id"]
    _ensure_credit(console, account_id)
    return str(console.call("POST", f"/api/accounts/{account_id}/keys", {"name": "demo", "ttl_s": 86400})["key"])


def _ensure_credit(console: ManagementClient, account_id: str) -> None:
    path = f"/api/accounts/{account_id}/credit"
    if console.call("GET", path)["balance_microdollars"] < 1_000_000:
        console.call("POST", path, {"usd": CREDIT_USD, "reference": "demo"})
        deadline = time.monotonic() + WITHIN_S
        while console.call("GET", path)["balance_microdollars"] < 1_000_000:
            if time.monotonic() > deadline:
                raise StackError("the demo's credit was not entered in time")
            time.sleep(0.05)


def _curl(base_url: str, key: str) -> str:
    body = orjson.dumps({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).decode()
    return (
        f"curl -N {base_url}/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )


async def _stream(base_url: str, key: str) -> tuple[str, str]:
    """Streams one completion to the terminal; returns the request's ID and its trace's."""
    trace_id = secrets.token_hex(16)
    headers = {"Authorization": f"Bearer {key}", "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    out.print(f"{MODEL} says: ", end="", markup=False)
    async with (
        httpx.AsyncClient(timeout=60, trust_env=False) as client,
        client.stream("POST", f"{base_url}/chat/completions", headers=headers, json=body) as response,
    ):
        if response.status_code != 200:
            raise StackError(f"the gateway answered {response.status_code}: {(await response.aread()).decode()[:500]}")
        events = ServerSentEvents()
        async for piece in response.aiter_bytes():
            for event in events.feed(piece):
                for choice in () if event == DONE else orjson.loads(event).get("choices", ()):
                    out.print(choice["delta"].get("content") or "", end="", markup=False)
        out.print()
        return response.headers["x-request-id"], trace_id


async def _spans(collector: Collector, trace_id: str) -> list[Span]:
    """The trace, once every service has exported its spans."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            while not {span.service for span in collector.trace(trace_id)} >= HOPS:
                await asyncio.sleep(0.1)
    return collector.trace(trace_id)


def _print_time_line(spans: list[Span]) -> None:
    if not spans:
        raise StackError("no spans of the request arrived")
    start = spans[0].start_ns
    total = max(span.end_ns for span in spans) - start
    out.print("\nthe request's way, by hop (ms from its arrival):\n", markup=False)
    for span in spans:
        begin, length = span.start_ns - start, span.end_ns - span.start_ns
        left = round(begin / total * BAR)
        bar = " " * left + "█" * max(1, round(length / total * BAR))
        out.print(
            f"  {span.service:<11}{span.name:<24}{begin / 1e6:>8.1f} +{length / 1e6:<8.1f} {bar[:BAR]}", markup=False
        )


async def _ledger_entry(stack: Stack, request_id: str) -> dict[str, Any]:
    connection = await asyncpg.connect(stack.postgres.admin_url())
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                row = await connection.fetchrow("select * from ledger.usage where request_id = $1", request_id)
                if row is not None:
                    return dict(row)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise StackError(f"the ledger has no entry of request {request_id}") from None
    finally:
        await connection.close()


def _print_entry(entry: dict[str, Any]) -> None:
    out.print("\nits ledger entry:\n", markup=False)
    shown = ("request_id", "subject", "model", "provider_id", "outcome", "input_tokens", "output_tokens")
    for name in (*shown, "cost_microdollars", "price_version", "first_byte_ms"):
        out.print(f"  {name.replace('_', ' '):<18} {entry[name]}", markup=False)
