"""Relays that stand still, or die one after the other, in the middle of a stream that another goes on with."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from contracts import topics
from contracts.attempts import AttemptEnded
from libs.bus.reading import read_to_end
from libs.bus.records import decode
from tests.faults.books import check_books
from tests.faults.open_streams import DONE
from tests.faults.texts import Text
from tests.stacks import Gateway, NotYet, running_stack, until

WORDS = 100
TEXT = f"[[stub chunks={WORDS} gap_ms=50]]"
SLOW = f"[[stub chunks={WORDS} gap_ms=300]]"
"""Runs for longer than another relay needs to start, and than the group waits for one that stands still."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A stack to break."""
    if ":" in kafka:
        pytest.fail("fault tests break their broker; give them one that they may start: --kafka embedded")
    async with running_stack(tmp_path_factory.mktemp("lost"), kafka) as started:
        yield started


async def _ready(gateway: Gateway) -> None:
    async def ready() -> bool | NotYet:
        health = await gateway.stack.health()
        return all(answer.get("ready") for answer in health.values()) or NotYet(health)

    await until(ready, what="readiness of all services", within_s=90)


@asynccontextmanager
async def _standing_still(gateway: Gateway) -> AsyncIterator[Text]:
    """A stream whose relay stands still, and that another has just gone on with. Leaving wakes the first."""
    stream = Text.of(gateway, "/chat/completions", "stub/continues", SLOW)
    reading = asyncio.create_task(stream.read())
    await stream.has(5)
    # It has its attempts for as long as it lives, whoever has the partitions.
    await gateway.stack.start_service("relay", 2)
    await _ready(gateway)
    relay = gateway.stack.children["relay"]
    relay.kill(signal.SIGSTOP)
    try:
        before = len(stream.text.split())
        await stream.has(before + 10)
        yield stream
    finally:
        relay.kill(signal.SIGCONT)
    await reading


async def _ends(gateway: Gateway, request_id: str) -> list[AttemptEnded]:
    records = [decode(raw).record async for raw in read_to_end(gateway.stack.bus, topics.ATTEMPTS)]
    return [one for one in records if isinstance(one, AttemptEnded) and one.request_id == request_id]


async def test_a_relay_that_stood_still_does_not_end_what_another_went_on_with(own: Gateway) -> None:
    """It wakes while the other still writes, and its own provider's answer ends before the other's."""
    try:
        async with _standing_still(own) as stream:
            pass
        assert stream.content.endswith(DONE)
        assert (len(stream.text.split()), stream.ids[-1]) == (WORDS, len(stream.content))
        entry = await own.entry(stream.request_id)
        assert (entry["outcome"], entry["attempts"], entry["estimated"]) == ("completed", 2, True)
        assert entry["output_tokens"] >= WORDS
        await _ready(own)
        await check_books(own, {stream.request_id})
        assert [one.reply.call for one in await _ends(own, stream.request_id)] == [1]
    finally:
        await own.stack.remove_service("relay", 2)
        await _ready(own)


async def test_a_stream_goes_on_after_two_relays_in_a_row(own: Gateway) -> None:
    stream = Text.of(own, "/chat/completions", "stub/continues", TEXT)
    reading = asyncio.create_task(stream.read())
    for words in (5, 40):
        await stream.has(words)
        own.stack.children["relay"].kill()
    await reading
    assert stream.content.endswith(DONE)
    assert (len(stream.text.split()), stream.ids[-1]) == (WORDS, len(stream.content))
    entry = await own.entry(stream.request_id)
    assert (entry["outcome"], entry["attempts"], entry["estimated"]) == ("completed", 3, True)
    await _ready(own)
    await check_books(own, {stream.request_id})
