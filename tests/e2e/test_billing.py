"""Credit, usage and charges, as owners, members and billing have them."""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import stripe
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts import topics
from contracts.credit import BalanceLow, CreditPosted, TopUpDue
from deploy.local.home import ROOT
from deploy.local.ports import free_port
from libs.bus.reading import read_to_end
from libs.bus.records import decode
from libs.runtime.server import HttpServer
from tests.e2e.plane import Person, Plane
from tests.faults.books import audited
from tests.stacks import STRIPE_SECRET, Gateway, chat, until
from tests.stripe_events import event

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


async def _balance(plane: Plane, person: Person, organization: str | None = None) -> int:
    """As the gateway's own page shows it."""
    headers = {"Authorization": f"Bearer {person.key}"}
    if organization:
        headers["X-KiloCode-OrganizationId"] = organization
    response = await plane.gateway.http.get(f"{plane.gateway.base_url}/balance", headers=headers)
    assert response.status_code == 200, response.text
    found: int = response.json()["balance_microdollars"]
    return found


async def _becomes(plane: Plane, microdollars: int, person: Person, organization: str | None = None) -> None:
    async def so() -> bool | None:
        return await _balance(plane, person, organization) == microdollars or None

    await until(so, what=f"balance of {microdollars}")


async def _events(plane: Plane, owner: str) -> list[Any]:
    return [
        decode(raw).record
        async for raw in read_to_end(plane.gateway.stack.bus, topics.CREDIT)
        if raw.key == owner.encode()
    ]


async def test_credit_is_entered_once_and_shown_at_the_door(plane: Plane) -> None:
    person = await plane.person()
    path, body = f"/api/accounts/{person.account_id}/credit", {"usd": "10.00", "reference": "invoice 7"}
    assert await _balance(plane, person) == 0
    once = {"Authorization": f"Bearer {plane.gateway.stack.operator_token()}", "Idempotency-Key": secrets.token_hex(8)}
    url = f"{plane.gateway.stack.console_url}{path}"
    answers = await asyncio.gather(*(plane.gateway.http.post(url, json=body, headers=once) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    await _becomes(plane, 10_000_000, person)
    other = await plane.gateway.http.post(url, json={"usd": "11"}, headers=once)
    assert other.status_code == 409
    await plane.call("POST", path, {"usd": "-2.5", "kind": "refund"})
    await _becomes(plane, 7_500_000, person)
    refused = await plane.call("POST", path, {"usd": "-7.500001", "kind": "refund"}, status=409)
    assert "7.500000" in refused["detail"]
    shown = await plane.call("GET", path, key=person.key)
    assert [(entry["kind"], entry["usd"]) for entry in shown["entries"]] == [
        ("refund", "-2.500000"),
        ("top_up", "10.000000"),
    ]

    async def posted() -> list[Any] | None:
        events = await _events(plane, f"acct:{person.account_id}")
        return events if len(events) == 2 else None

    events = await until(posted, what="both events")
    assert [(event.amount_microdollars, event.balance_microdollars) for event in events] == [
        (10_000_000, 10_000_000),
        (-2_500_000, 7_500_000),
    ]
    assert all(isinstance(event, CreditPosted) for event in events)


async def test_only_the_operator_makes_credit_and_bad_amounts_say_why(plane: Plane) -> None:
    person = await plane.person()
    path = f"/api/accounts/{person.account_id}/credit"
    await plane.call("POST", path, {"usd": "10"}, key=person.key, status=403)
    for body in ({"usd": "ten"}, {"usd": "0"}, {"usd": "-1"}, {"usd": "1", "kind": "refund"}, {"usd": "1.0000001"}, {}):
        assert (await plane.call("POST", path, body, status=400))["detail"]
    await plane.call("POST", "/api/accounts/acct_00000000000000000000/credit", {"usd": "1"}, status=404)
    assert await _balance(plane, person) == 0


async def test_an_owner_hears_once_of_a_low_balance_and_of_a_top_up_that_is_due(plane: Plane) -> None:
    person = await plane.person()
    path = f"/api/accounts/{person.account_id}/credit"
    await plane.call("POST", path, {"usd": "0.0001"})
    await _becomes(plane, 100, person)
    settings = {"alert_below": "0.00011", "top_up_below": "0.00005", "top_up": "5"}
    await plane.call("PUT", f"{path}/settings", settings, key=person.key)
    await plane.call("PUT", f"{path}/settings", {"top_up": "5"}, key=person.key, status=400)

    async def published(count: int) -> list[Any]:
        async def so_many() -> list[Any] | None:
            found = await _events(plane, f"acct:{person.account_id}")
            events = [event for event in found if not isinstance(event, CreditPosted)]
            return events if len(events) >= count else None

        return await until(so_many, what=f"{count} alerts")

    # The balance is below already: its event proves that the settings are known.
    (low,) = await published(1)
    assert (type(low), low.balance_microdollars, low.below_microdollars) == (BalanceLow, 100, 110)
    await plane.call("POST", path, {"usd": "-0.00002", "kind": "adjustment"})
    await plane.call("POST", path, {"usd": "-0.00001", "kind": "adjustment"})
    await plane.call("POST", path, {"usd": "-0.00003", "kind": "adjustment"})
    await _becomes(plane, 40, person)
    events = await published(2)
    assert [type(event) for event in events] == [BalanceLow, TopUpDue]
    assert (events[1].balance_microdollars, events[1].top_up_microdollars) == (40, 5_000_000)


async def test_the_ledger_agrees_with_the_provider_to_the_token_and_the_microdollar(plane: Plane) -> None:
    person = await plane.person()
    before = await plane.gateway.stub_stats()
    asked = [
        plane.ask(person.key, f"{'word ' * number}[[stub chunks={3 * number}]]", stream=number % 2 == 0)
        for number in range(1, 25)
    ]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        await plane.gateway.entry(answer.headers["x-request-id"])
    after = await plane.gateway.stub_stats()
    row = await plane.gateway.database.fetchrow(
        "select sum(input_tokens)::bigint as input, sum(output_tokens)::bigint as output, "
        "sum(cost_microdollars)::bigint as cost from ledger.usage where account_id = $1",
        person.account_id,
    )
    assert row is not None
    served = {name: after[name] - before.get(name, 0) for name in ("input_tokens", "output_tokens")}
    assert (row["input"], row["output"]) == (served["input_tokens"], served["output_tokens"])
    assert row["cost"] == 2 * served["input_tokens"] + 8 * served["output_tokens"]
    await _becomes(plane, -row["cost"], person)


async def test_owners_see_all_usage_of_their_organization_and_members_their_own(plane: Plane) -> None:
    owner, member, stranger = await plane.person(), await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "U"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    for person in (owner, member):
        await plane.becomes(400, person.key, organization)
    for person, count in ((owner, 2), (member, 3)):
        for _ in range(count):
            answer = await plane.ask(person.key, organization_id=organization)
            await plane.gateway.entry(answer.headers["x-request-id"])
    stray = await plane.ask(member.key)
    await plane.gateway.entry(stray.headers["x-request-id"])

    async def requests(url: str, key: str, by: str = "member") -> dict[str, int]:
        rows = await plane.call("GET", f"{url}/usage?by={by}", key=key)
        return {str(row[by]): row["requests"] for row in rows}

    assert await requests(path, owner.key) == {owner.account_id: 2, member.account_id: 3}
    assert await requests(path, member.key) == {member.account_id: 3}
    assert await requests(f"/api/accounts/{member.account_id}", member.key) == {member.account_id: 4}
    assert await requests("/api", member.key) == {member.account_id: 4}
    assert await requests(path, owner.key, "model") == {"stub/echo": 5}
    assert await requests(path, owner.key, "provider") == {"stub": 5}
    assert await requests(path, owner.key, "day") == {datetime.now(UTC).date().isoformat(): 5}
    assert sum((await requests(path, owner.key, "key")).values()) == 5
    await plane.call("GET", f"{path}/usage", key=stranger.key, status=404)
    await plane.call("GET", f"/api/accounts/{owner.account_id}/usage", key=member.key, status=404)
    backwards = "since=2099-01-01T00:00:00Z&until=2098-01-01T00:00:00Z"
    for query in ("by=colour", "since=yesterday", "since=2026-11-25T00:00:00", backwards):
        await plane.call("GET", f"{path}/usage?{query}", key=owner.key, status=400)
    rows = await plane.call("GET", "/api/usage?by=member")
    assert len(rows) >= 2


async def test_a_span_of_hours_counts_what_is_in_it_and_nothing_else(plane: Plane) -> None:
    person = await plane.person()
    first = await plane.ask(person.key)
    between = datetime.now(UTC)
    second = await plane.ask(person.key)
    for answer in (first, second):
        await plane.gateway.entry(answer.headers["x-request-id"])

    async def count(**span: datetime) -> int:
        query = "&".join(f"{name}={moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}" for name, moment in span.items())
        rows = await plane.call("GET", f"/api/accounts/{person.account_id}/usage?{query}", key=person.key)
        return sum(row["requests"] for row in rows)

    hour = timedelta(hours=1)
    assert await count(since=between - hour) == 2
    assert await count(since=between) == 1
    assert await count(since=between - hour, until=between) == 1
    assert await count(since=between - timedelta(days=3), until=between) == 1
    assert await count(since=between - timedelta(days=3), until=between + timedelta(days=3)) == 2
    assert await count(since=between + hour, until=between + 2 * hour) == 0


@asynccontextmanager
async def _example(gateway: Gateway, name: str, *arguments: str, **environment: str) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *arguments,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SLUICE_KAFKA_BOOTSTRAP": gateway.stack.bus.bootstrap} | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _stripe_example(
    gateway: Gateway, name: str, stripe: ASGIApp, customers: dict[str, str], folder: Path
) -> AsyncIterator[None]:
    """Runs an example that calls Stripe, in whose place an application answers."""
    port = free_port()
    receiver = HttpServer(stripe, "127.0.0.1", port)
    await receiver.start()
    file = folder / "customers.json"
    file.write_text(json.dumps(customers))
    environment = {"STRIPE_API_KEY": "sk_test_x", "STRIPE_API_URL": f"http://127.0.0.1:{port}"}
    try:
        async with _example(gateway, name, str(file), **environment):
            yield
    finally:
        await receiver.stop()


async def _charged(plane: Plane) -> tuple[Person, str, int]:
    person = await plane.person()
    answer = await plane.ask(person.key)
    entry = await plane.gateway.entry(answer.headers["x-request-id"])
    return person, answer.headers["x-request-id"], entry["cost_microdollars"]


async def test_the_faststream_example_gets_every_charge(plane: Plane) -> None:
    person, request_id, cost = await _charged(plane)
    async with _example(plane.gateway, "charges_faststream.py") as process, asyncio.timeout(40):
        while line := (await process.stdout.readline()).decode():
            if line.split() == [request_id, person.account_id, str(cost)]:
                break
        assert line


async def test_the_aiokafka_example_begins_at_a_time_and_tells_each_charge_once(plane: Plane) -> None:
    _, before, _ = await _charged(plane)
    await audited(plane.gateway)
    since = datetime.now(UTC).isoformat()
    _, request_id, cost = await _charged(plane)
    await audited(plane.gateway)
    async with _example(plane.gateway, "charges_aiokafka.py", since) as process, asyncio.timeout(40):
        out, _ = await process.communicate()
    charges = {charge["charge_id"]: charge for charge in map(json.loads, out.splitlines())}
    assert charges[request_id]["cost_microdollars"] == cost
    assert before not in charges


async def test_the_stripe_example_sends_a_meter_event_for_each_charge(plane: Plane, tmp_path: Path) -> None:
    person, request_id, cost = await _charged(plane)
    await _charged(plane)
    events: list[dict[str, list[str]]] = []

    async def stripe(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/v1/billing/meter_events"
        events.append(parse_qs((await receive())["body"].decode()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async with _stripe_example(
        plane.gateway, "charges_to_stripe.py", stripe, {person.account_id: "cus_test"}, tmp_path
    ):

        async def sent() -> bool | None:
            return bool(events) or None

        await until(sent, what="meter event")
    (event,) = events
    assert event["event_name"] == ["sluice_usage"]
    assert event["identifier"] == [request_id]
    assert event["payload[stripe_customer_id]"] == ["cus_test"]
    assert event["payload[value]"] == [str(cost)]


async def test_every_outcome_is_in_exact_books(plane: Plane) -> None:
    person = await plane.person()
    knobs = ("chunks=3", "error=500", "error=429", "cut_after=2", "fail_after=1", "usage=none", "garbage=1", "hang=1")
    await asyncio.gather(*(plane.ask(person.key, f"[[stub {knob}]]", stream=True) for knob in knobs))
    asking = asyncio.create_task(plane.ask(person.key, "[[stub chunks=500 gap_ms=50]]", stream=True))
    await asyncio.sleep(0)

    async def running() -> bool | None:
        return (await plane.gateway.stub_stats()).get("in_flight", 0) > 0 or None

    await until(running, what="stream")
    asking.cancel()
    await plane.gateway.post(chat("hi", model="refusing/echo"))
    report = await audited(plane.gateway)
    assert {"completed", "failed", "cancelled"} <= set(report["outcomes"])


async def _stripe(plane: Plane, name: str, owner: str, run: str, *, secret: str = STRIPE_SECRET) -> httpx.Response:
    """Sends one of Stripe's events, signed by Stripe's library; those of a test have IDs of their own."""
    body, at = event(name, owner, run), int(time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{at}.{body.decode()}", secret)
    headers = {"stripe-signature": f"t={at},v1={signature}", "content-type": "application/json; charset=utf-8"}
    url = f"{plane.gateway.stack.console_url}/api/payments/stripe"
    return await plane.gateway.http.post(url, content=body, headers=headers)


async def test_stripe_s_events_are_entered_once_whatever_their_order(plane: Plane) -> None:
    person, run = await plane.person(), secrets.token_hex(8)
    steps = [
        # A refund that is reported before its payment takes what will be there.
        ("refunded", -5_000_000),
        ("paid", 25_000_000),
        ("paid", 0),
        ("charge_succeeded", 0),
        ("refunded_more", -7_000_000),
        ("refunded", 0),
        ("refund_failed", 5_000_000),
        ("withdrawn", -25_000_000),
        ("reinstated", 25_000_000),
        ("reinstated", 0),
    ]
    balance = 0
    for name, change in steps:
        answer = await _stripe(plane, name, person.account_id, run)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["order"] is not None) == (change != 0), name
        balance += change
        await _becomes(plane, balance, person)
    shown = await plane.call("GET", f"/api/accounts/{person.account_id}/credit", key=person.key)
    assert {entry["by"] for entry in shown["entries"]} == {"stripe"}
    assert shown["entries"][-1]["reference"].startswith("charge.refunded pi_")


async def test_only_stripe_reports_payments_and_only_of_owners_that_there_are(plane: Plane) -> None:
    person, run = await plane.person(), secrets.token_hex(8)
    assert (await _stripe(plane, "paid", person.account_id, run, secret="whsec_other")).status_code == 400
    assert (await _stripe(plane, "paid", "acct_00000000000000000000", run)).status_code == 404
    # Nothing is left of it: it may come again.
    assert (await _stripe(plane, "paid", person.account_id, run)).json()["order"]
    await _becomes(plane, 25_000_000, person)
    # Of a payment that nobody here made.
    assert (await _stripe(plane, "withdrawn", person.account_id, secrets.token_hex(8))).json()["order"] is None


async def test_a_low_balance_is_topped_up_by_card_through_the_webhook(plane: Plane, tmp_path: Path) -> None:
    person, run = await plane.person(), secrets.token_hex(8)
    asked: list[tuple[dict[str, list[str]], str]] = []

    async def stripe(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/v1/payment_intents"
        headers = dict(scope["headers"])
        asked.append((parse_qs((await receive())["body"].decode()), headers[b"idempotency-key"].decode()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    path = f"/api/accounts/{person.account_id}/credit"
    settings = {"top_up_below": "1", "top_up": "25"}
    await plane.call("PUT", f"{path}/settings", settings, key=person.key)
    await plane.call("POST", path, {"usd": "0.5"})
    await _becomes(plane, 500_000, person)
    async with _stripe_example(plane.gateway, "top_up_stripe.py", stripe, {person.account_id: "cus_test"}, tmp_path):

        async def charged() -> bool | None:
            return bool(asked) or None

        await until(charged, what="payment")
    (payment, key) = asked[0]
    assert payment["metadata[sluice_owner]"] == [person.account_id]
    assert (payment["amount"], payment["currency"], payment["customer"]) == (["2500"], ["usd"], ["cus_test"])
    assert key.startswith(f"acct:{person.account_id}/TopUpDue/")
    assert (await _stripe(plane, "paid", payment["metadata[sluice_owner]"][0], run)).json()["order"]
    await _becomes(plane, 25_500_000, person)
