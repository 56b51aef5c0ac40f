"""kill -9 of any one process under load: every client is answered in bounded time, and the books are exact."""

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import openai
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from contracts import topics
from contracts.topics import TOPICS
from deploy.local.child import Child
from deploy.local.stack import SERVICES
from libs.bus.reading import read_to_end
from libs.bus.settings import BusSettings
from libs.bus.watch import ANSWER_WITHIN_S, EVERY_S
from services.ingress.publishing import LOOK_EVERY_S
from tests.faults.books import check_books
from tests.faults.load import Load
from tests.faults.open_streams import DONE, OpenStreams
from tests.faults.records_again import all_again
from tests.faults.repeating import Repeating
from tests.faults.texts import Text
from tests.stacks import Gateway, NotYet, chat, running_stack, until

LINES = 30
"""Of a batch."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A stack to break."""
    if ":" in kafka:
        pytest.fail("fault tests break their broker; give them one that they may start: --kafka embedded")
    async with running_stack(tmp_path_factory.mktemp("faults"), kafka) as started:
        yield started


async def _ready(gateway: Gateway) -> None:
    async def ready() -> bool | None:
        health = await gateway.stack.health()
        return all(answer.get("ready") for answer in health.values()) or None

    await until(ready, what="readiness of all services", within_s=90)


@pytest.mark.parametrize("service", SERVICES)
async def test_kill_9_of_a_service_under_load(own: Gateway, service: str) -> None:
    child = own.stack.children[service]
    restarts = child.restarts
    async with Load(own) as load:
        await load.more(20)
        child.kill()
        await load.more(20, within_s=90)

    async def restarted() -> bool | None:
        return child.restarts == restarts + 1 or None

    await until(restarted, what="the restart")
    await _ready(own)
    outcomes = await check_books(own, load.completed)
    assert outcomes["completed"] >= len(load.completed)
    if service not in ("ingress", "relay"):
        assert load.broken == 0


async def test_streams_of_a_killed_ingress_go_on_at_the_next(own: Gateway) -> None:
    async with OpenStreams(own, 20, "[[stub chunks=60 gap_ms=50]]") as streams:
        own.stack.children["ingress"].kill()
    for stream in streams.all:
        assert (stream.content.endswith(DONE), stream.words) == (True, 60)
        assert stream.resumed
        whole = await own.http.get(stream.url, headers={"authorization": f"Bearer {own.key}"})
        assert whole.content == stream.content
    await _ready(own)
    await check_books(own, set())


async def test_open_streams_go_on_when_the_broker_is_back(own: Gateway) -> None:
    async with OpenStreams(own, 30, "[[stub chunks=100 gap_ms=50]]") as streams:
        own.stack.children["broker"].kill()
    for stream in streams.all:
        assert (stream.content.endswith(DONE), stream.words, stream.resumed) == (True, 100, 0)
    await _ready(own)
    await check_books(own, set())


async def test_a_rolling_restart_of_all_services_fails_no_request(own: Gateway) -> None:
    async with OpenStreams(own, 5, "[[stub chunks=500 gap_ms=50]]") as streams, Load(own, leaving=0) as load:
        await load.more(20)
        await own.stack.restart()
        await load.more(20)
    assert (load.refusals, load.broken) == ({}, 0)
    for stream in streams.all:
        assert (stream.content.endswith(DONE), stream.words, stream.resumed) == (True, 500, 0)
    await check_books(own, load.completed)


async def test_kill_9_of_the_ingress_runs_no_key_twice(own: Gateway) -> None:
    """Killed at any moment: before the claim, between it and the request, within the answers."""
    clients = [Repeating(own, f"{secrets.token_hex(8)}-{number}") for number in range(24)]
    asking = [asyncio.create_task(one.ask()) for one in clients]
    # Two of a key, at the same time.
    again = [Repeating(own, one.key) for one in clients[:6]]
    asking += [asyncio.create_task(one.ask()) for one in again]
    ingress = own.stack.children["ingress"]
    for number in range(2):
        restarts = ingress.restarts
        ingress.kill()
        await until(_restarted(ingress, restarts), what=f"restart {number}")
        await _ready(own)
    await asyncio.gather(*asking)
    assert len({one.content for one in clients}) == len(clients)
    for one, other in zip(clients, again, strict=False):
        assert one.content == other.content
    await check_books(own, {request_id for one in clients for request_id in one.request_ids})
    for one in clients:
        assert len(one.request_ids) == 1
        rows = await own.database.fetch("select outcome, output_tokens from ledger.usage where task_id = $1", one.key)
        assert [row["outcome"] for row in rows if row["output_tokens"]] == ["completed"]
    assert sum(one.sent for one in clients) > len(clients)


async def test_kill_9_of_the_ingress_runs_each_line_of_a_batch_once(own: Gateway) -> None:
    async with openai.AsyncOpenAI(base_url=own.base_url, api_key=own.key, max_retries=5) as client:
        user = secrets.token_hex(8)
        bodies = [
            chat(f"[[stub chunks=20 gap_ms=25]] {number}", model="stub/flex", user=user) for number in range(LINES)
        ]
        lines = [
            {"custom_id": f"n{number}", "method": "POST", "url": "/chat/completions", "body": body}
            for number, body in enumerate(bodies)
        ]
        file = await client.files.create(file=("f.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
        made: Any = {"input_file_id": file.id, "endpoint": "/chat/completions", "completion_window": "24h"}
        batch_id = (await client.batches.create(**made)).id

        async def reaches(count: int) -> Any:
            batch = await client.batches.retrieve(batch_id)
            counts = batch.request_counts
            assert counts
            over = batch.status == "completed" or counts.completed >= count
            return batch if over else NotYet(f"{batch.status} {counts}")

        ingress = own.stack.children["ingress"]
        for count in (1, LINES // 2):
            await until(lambda count=count: reaches(count), what=f"{count} lines", within_s=120)  # type: ignore[misc]
            restarts = ingress.restarts
            ingress.kill()
            await until(_restarted(ingress, restarts), what="the restart")
            await _ready(own)
        batch = await until(lambda: reaches(LINES + 1), what="the end of the batch", within_s=180)
        assert (batch.status, batch.request_counts.failed) == ("completed", 0)
        answers = [json.loads(line) for line in (await client.files.content(batch.output_file_id)).text.splitlines()]
    assert [one["custom_id"] for one in answers] == [f"n{number}" for number in range(LINES)]
    request_ids = {one["response"]["request_id"] for one in answers}
    await check_books(own, request_ids)
    rows = await own.database.fetch("select * from ledger.usage where customer = $1", user)
    assert {str(row["request_id"]) for row in rows if row["output_tokens"]} == request_ids
    for row in rows:
        if row["output_tokens"]:
            assert row["service_tier"] == "flex"
            assert row["cost_microdollars"] == (row["input_tokens"] * 2 + row["output_tokens"] * 8 + 1) // 2


def _restarted(child: Child, before: int) -> Callable[[], Awaitable[bool | None]]:
    async def restarted() -> bool | None:
        return child.restarts > before or None

    return restarted


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_killed_relay_s_stream_ends_with_an_error_and_one_entry(own: Gateway, keyed: bool) -> None:
    """Sealed, where it has an Idempotency-Key, and the same again for who sends that."""
    text, killed = "", False
    headers = {"Authorization": f"Bearer {own.key}"} | ({"Idempotency-Key": secrets.token_hex(8)} if keyed else {})
    body = chat("[[stub chunks=2000 gap_ms=50]]", stream=True)
    async with own.http.stream(
        "POST",
        f"{own.base_url}/chat/completions",
        json=body,
        headers=headers,
    ) as response:
        async for piece in response.aiter_text():
            text += piece
            if not killed and text.count('"content":"') > 1:
                own.stack.children["relay"].kill()
                killed = True
    assert killed
    assert '"code":502' in text
    assert "[DONE]" not in text
    if keyed:
        again = await own.http.post(f"{own.base_url}/chat/completions", json=body, headers=headers)
        assert (again.text, again.headers["idempotent-replayed"]) == (text, "true")
    entry = await own.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["status"], entry["estimated"]) == ("interrupted", 502, True)
    assert entry["output_tokens"] > 0
    assert entry["input_tokens"] > 0
    await _ready(own)
    await check_books(own, set())


async def test_a_killed_relay_s_stream_goes_on_where_its_model_can(own: Gateway) -> None:
    """One stream for its client, on any surface, sealed or not; one entry, with both calls."""
    key, text = {"Idempotency-Key": secrets.token_hex(8)}, "[[stub chunks=60 gap_ms=50]]"
    streams = [
        Text.of(own, "/chat/completions", "stub/continues", text),
        Text.of(own, "/messages", "claude/continues", text),
        Text.of(own, "/responses", "claude/continues", text, **key),
    ]
    reading = [asyncio.create_task(one.read()) for one in streams]
    await asyncio.gather(*(one.has(5) for one in streams))
    own.stack.children["relay"].kill()
    await asyncio.gather(*reading)
    whole = (await own.post(chat("[[stub chunks=60 gap_ms=50]]"))).json()["choices"][0]["message"]["content"]
    for one in streams:
        assert one.text == whole
        assert one.ids[-1] == len(one.content)
        entry = await own.entry(one.request_id)
        assert (entry["outcome"], entry["attempts"], entry["estimated"]) == ("completed", 2, True)
        assert entry["output_tokens"] >= 60
    ended = streams[2].events[-1]["response"]
    assert (ended["status"], ended["output"][0]["content"][0]["text"]) == ("completed", whole)
    stored = await own.http.get(f"{own.base_url}/responses/{ended['id']}", headers=streams[2].headers)
    assert stored.json()["output"][0] == ended["output"][0]
    again = await Text.of(own, "/responses", "claude/continues", text, **key).read()
    assert again.content == streams[2].content
    await _ready(own)
    await check_books(own, {one.request_id for one in streams})


async def test_a_stopped_relay_lets_its_streams_end(own: Gateway) -> None:
    asking = asyncio.create_task(own.post(chat("[[stub chunks=40 gap_ms=50]]", stream=True)))

    async def running() -> bool | None:
        return (await own.stub_stats()).get("in_flight", 0) > 0 or None

    await until(running, what="running attempt")
    own.stack.children["relay"].kill(signal.SIGTERM)
    response = await asking
    assert response.text.endswith("data: [DONE]\n\n")
    entry = await own.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["output_tokens"], entry["estimated"]) == ("completed", 40, False)
    await _ready(own)


async def test_a_stopped_relay_leaves_what_is_too_long_to_another(own: Gateway) -> None:
    relay, options = own.stack.children["relay"], own.stack.options
    options.environment["SLUICE_RELAY_DRAIN_S"] = "0.5"
    await own.stack.restart("relay")
    del options.environment["SLUICE_RELAY_DRAIN_S"]
    text = "[[stub chunks=60 gap_ms=50]]"
    able, unable = [Text.of(own, "/chat/completions", f"stub/{name}", text) for name in ("continues", "echo")]
    reading = [asyncio.create_task(one.read()) for one in (able, unable)]
    await asyncio.gather(able.has(5), unable.has(5))
    relay.kill(signal.SIGTERM)
    await asyncio.gather(*reading)
    assert able.content.endswith(DONE)
    assert b'"code":503' in unable.content
    entry = await own.entry(able.request_id)
    assert (entry["outcome"], entry["attempts"], entry["estimated"]) == ("completed", 2, True)
    await own.stack.restart("relay")
    await check_books(own, {able.request_id})


async def test_without_postgresql_requests_go_on_and_the_ledger_catches_up(own: Gateway) -> None:
    postgres = own.stack.children["postgres"]
    async with Load(own) as load:
        await load.more(10)
        postgres.kill_tree(signal.SIGSTOP)
        try:
            await load.more(60)
        finally:
            postgres.kill_tree(signal.SIGCONT)
        postgres.kill()
        await load.more(60)
    assert set(load.statuses) == {200}
    assert load.broken == 0

    async def reconnected() -> bool | None:
        try:
            own.database = await asyncpg.connect(own.stack.postgres.admin_url())
        except (OSError, asyncpg.PostgresError):
            return None
        return True

    await until(reconnected, what="PostgreSQL")
    await check_books(own, load.completed)


async def _stands_still(pid: int) -> bool | None:
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads) or None


async def test_without_a_broker_the_door_refuses_at_once_and_opens_by_itself(own: Gateway) -> None:
    broker = own.stack.children["broker"]
    assert (await own.post(chat("hi"))).status_code == 200
    in_flight = asyncio.create_task(own.post(chat("[[stub chunks=100 gap_ms=100]]", stream=True)))
    broker.kill(signal.SIGSTOP)
    try:
        # Until then it may still take a request, whose client would wait for the broker to come back.
        await until(partial(_stands_still, broker.pid), what="a broker that stands still")
        response = await own.post(chat("hi"))
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert EVERY_S + ANSWER_WITHIN_S + LOOK_EVERY_S < 2, "until the door gives up on a broker that is silent"
    finally:
        broker.kill(signal.SIGCONT)
    broker.kill()

    async def open_again() -> httpx.Response | None:
        try:
            response = await own.post(chat("hi"))
        except httpx.TransportError:
            return None
        return response if response.status_code == 200 else None

    await until(open_again, what="answer after the broker came back", within_s=120)
    async with asyncio.timeout(60):
        cut_off = await in_flight
    assert cut_off.status_code == 503 or '"error"' in cut_off.text or cut_off.text.endswith("[DONE]\n\n")
    await _ready(own)
    async with Load(own) as load:
        await load.more(40)
    await check_books(own, load.completed)


async def test_kill_9_of_the_broker_under_load_loses_nothing(own: Gateway) -> None:
    async with Load(own) as load:
        await load.more(20)
        own.stack.children["broker"].kill()
        await load.more(40, within_s=90)
    await _ready(own)
    settings = own.stack.bus
    assert await _partitions(settings) == {topic.name: settings.partitions_of(topic) for topic in TOPICS}
    for topic in TOPICS:
        last: dict[int, int] = {}
        async for raw in read_to_end(settings, topic):
            assert raw.offset > last.get(raw.partition, -1), f"{topic.name} has offset {raw.offset} twice"
            last[raw.partition] = raw.offset
    async with Load(own) as after:
        await after.more(20)
    await check_books(own, after.completed | load.completed)


async def _partitions(settings: BusSettings) -> dict[str, int]:
    """How many partitions each topic has; asked as any client asks."""
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    described = await admin.describe_topics([topic.name for topic in TOPICS])
    await admin.close()
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def test_every_record_of_every_topic_may_come_again_late_and_out_of_order(own: Gateway) -> None:
    async with Load(own) as load:
        await load.more(20)
    outcomes = await check_books(own, load.completed)
    money = "select count(*), sum(amount_microdollars) from ledger.entries"
    before = await own.database.fetchrow(money), await own.stub_stats()
    again = await all_again(own, seed=19)
    assert {topic.name for topic in (topics.REQUESTS, topics.ATTEMPTS, topics.USAGE, topics.CLAIMS)} <= set(again)
    assert await check_books(own, load.completed) == outcomes
    assert (await own.database.fetchrow(money), await own.stub_stats()) == before
    await _ready(own)
    assert (await own.post(chat("hi"))).status_code == 200
