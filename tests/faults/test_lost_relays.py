"""Relays that stand still, or die one after the other, in the middle of a stream that another goes on with."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from contracts import topics
from contracts.attempts import AttemptEnded
from libs.bus.reading import read_to_end
from libs.bus.records import decode
from tests.faults.books import check_books, check_effects
from tests.faults.open_streams import DONE
from tests.faults.texts import Text
from tests.stacks import Gateway, NotYet, running_stack, until

WORDS = 100
TEXT = f"[[stub chunks={WORDS} gap_ms=50]]"
SLOW = f"[[stub chunks={WORDS} gap_ms=300]]"
"""Runs for longer than another relay needs to start, and than the group waits for one that stands still."""
CROWD = [
    (path, model, f"[[stub chunks={words} gap_ms=300]]")
    for words in range(WORDS, WORDS - 25, -5)
    for path in ("/chat/completions", "/responses")
    for model in ("stub/continues", "stub/echo")
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
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
async def _standing_still(gateway: Gateway, stream: Text, words: int) -> AsyncIterator[None]:
    """The relay of a stream stands still, and another has gone on with it by so many words. Leaving wakes the first."""
    # It has its attempts for as long as it lives, whoever has the partitions.
    await gateway.stack.start_service("relay", 2)
    await _ready(gateway)
    relay = gateway.stack.children["relay"]
    relay.kill(signal.SIGSTOP)
    try:
        before = len(stream.text.split())
        await stream.has(before + words)
        yield
    finally:
        relay.kill(signal.SIGCONT)


async def _ends(gateway: Gateway, request_id: str) -> list[AttemptEnded]:
    records = [decode(raw).record async for raw in read_to_end(gateway.stack.bus, topics.ATTEMPTS)]
    return [one for one in records if isinstance(one, AttemptEnded) and one.request_id == request_id]


async def test_what_a_relay_sleeps_itself_is_not_its_provider_s_silence(own: Gateway) -> None:
    """The provider may be silent for 2 s (``idle_s`` of tests/stack.yaml), and never is."""
    stream = Text.of(own, "/chat/completions", "stub/echo", TEXT)
    reading = asyncio.create_task(stream.read())
    await stream.has(5)
    relay = own.stack.children["relay"]
    relay.kill(signal.SIGSTOP)
    await asyncio.sleep(3)
    relay.kill(signal.SIGCONT)
    await reading
    assert (stream.content.endswith(DONE), len(stream.text.split())) == (True, WORDS)
    entry = await own.entry(stream.request_id)
    assert (entry["outcome"], entry["attempts"]) == ("completed", 1)
    await _ready(own)
    await check_books(own, {stream.request_id})


async def test_a_relay_that_stood_still_does_not_end_what_another_went_on_with(own: Gateway) -> None:
    """It wakes while the other still writes, and its own provider's answer ends before the other's."""
    stream = Text.of(own, "/chat/completions", "stub/continues", SLOW)
    reading = asyncio.create_task(stream.read())
    await stream.has(5)
    try:
        async with _standing_still(own, stream, 10):
            pass
        await reading
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


async def test_what_a_relay_that_stood_still_ends_late_changes_nothing(own: Gateway) -> None:
    """Its answers come to their ends as it wakes, when another relay has ended some and goes on with some;
    of others nobody has ended anything yet."""
    crowd = [Text.of(own, path, model, text) for path, model, text in CROWD]
    reading = [asyncio.create_task(stream.read()) for stream in crowd]
    for stream in crowd:
        await stream.has(2)
    try:
        async with _standing_still(own, crowd[0], 1):
            pass
        await asyncio.gather(*reading)
        await _ready(own)
        whole = {stream.request_id for stream in crowd if len(stream.text.split()) == _words(stream)}
        assert {stream.request_id for stream in crowd if stream.body["model"] == "stub/continues"} <= whole
        await check_books(own, whole)
        await check_effects(own)
    finally:
        await own.stack.remove_service("relay", 2)
        await _ready(own)


def _words(stream: Text) -> int:
    found = re.search(r"chunks=(\d+)", str(stream.body))
    assert found
    return int(found[1])


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
