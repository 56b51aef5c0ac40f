"""A batch on its way when the handler fails: nothing is lost, next to nothing is dead-lettered, and it says so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition

from contracts import topics
from contracts.record import Record
from contracts.topic import Topic
from libs.bus import turn as module
from libs.bus.dead_letters import AlarmSettings, DeadLetters
from libs.bus.processor import Processor, Work
from libs.bus.records import Raw, Received
from libs.bus.signing import NOBODY
from libs.bus.suspicion import FEW
from libs.bus.turn import MOST_KEPT, Turn
from tests.unit.bus import SilentLog
from tests.unit.records import accepted, route

REQUESTS, ROUTES = topics.REQUESTS, topics.ROUTES


class Fails(Processor[Record]):
    """Fails on what a test says."""

    def __init__(self) -> None:
        self.on: Callable[[Received[Record]], bool] = lambda _received: True
        self.processed: list[tuple[str, int]] = []

    async def process(self, batch: Sequence[Received[Record]]) -> None:
        if any(self.on(received) for received in batch):
            raise ValueError("canary-value")
        self.processed += [(received.topic.name, received.offset) for received in batch]

    def offsets(self, topic: Topic[Any] = REQUESTS) -> list[int]:
        return [offset for name, offset in self.processed if name == topic.name]


class Running:
    """A turn over one partition of two topics."""

    def __init__(self) -> None:
        self.log = SilentLog()
        self.processor = Fails()
        self.work = Work(self.log, {TopicPartition(topic.name, 0): 0 for topic in (REQUESTS, ROUTES)})
        self.turn: Turn[Record] = Turn("tests", self.processor, self.work, DeadLetters(self.log, "tests"), NOBODY)

    def committable(self, topic: Topic[Any] = REQUESTS) -> int:
        return self.work.committable()[TopicPartition(topic.name, 0)]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.0)
    return Running()


def _raw(offset: int, topic: Topic[Any] = REQUESTS) -> Raw:
    record = accepted(offset) if topic is REQUESTS else route(offset)
    headers = [("ce_type", f"dev.sluice.{type(record).__name__}".encode()), ("ce_subject", record.request_id.encode())]
    value = record.encode()
    return Raw(topic.name, 0, offset, 0, b"k", value, headers)


async def test_a_handler_that_fails_on_everything_pauses_and_loses_nothing(running: Running) -> None:
    turn, processor = running.turn, running.processor
    first = 0
    while first < 2_000:
        if REQUESTS.name in turn.full_topics():
            processor.on = lambda _received: False
        await turn.process([_raw(offset) for offset in range(first, first + 250)])
        first += 250
        if processor.on(None):  # type: ignore[arg-type]
            assert running.committable() == 0
            assert turn.paused is not None
            assert "ValueError" in turn.paused
            assert "canary-value" not in turn.paused
            assert first <= MOST_KEPT
    assert running.log.letters == []
    assert turn.paused is None
    assert processor.offsets() == list(range(2_000))
    assert running.committable() == 2_000


async def test_a_record_is_poison_when_others_succeed(running: Running) -> None:
    running.processor.on = lambda received: received.offset in (2, 3, 4, 5, 9)
    await running.turn.process([_raw(offset) for offset in range(10)])
    assert running.turn.paused is None
    assert running.processor.offsets() == [0, 1, 6, 7, 8]
    assert [dict(headers)["sluice-dlq-offset"] for _, _, _, headers in running.log.letters] == [
        b"2",
        b"3",
        b"4",
        b"5",
        b"9",
    ]
    assert {dict(headers)["sluice-dlq-reason"] for _, _, _, headers in running.log.letters} == {
        b"handler failed: ValueError"
    }
    assert running.committable() == 10


async def test_one_alone_is_poison_at_once(running: Running) -> None:
    await running.turn.process([_raw(0)])
    assert len(running.log.letters) == 1
    assert running.committable() == 1


async def test_other_topics_go_on(running: Running) -> None:
    running.processor.on = lambda received: received.topic is REQUESTS
    await running.turn.process([_raw(offset) for offset in range(FEW)])
    await running.turn.process([_raw(offset, ROUTES) for offset in range(5)])
    assert running.committable(ROUTES) == 5
    assert running.committable() == 0
    assert running.log.letters == []


async def test_it_pauses_between_two_rounds_and_ends_at_once_when_asked(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 3600.0)
    monkeypatch.setattr(module, "PAUSE_MOST_S", 3600.0)
    await running.turn.process([_raw(offset) for offset in range(FEW)])
    running.processor.on = lambda _received: False
    await running.turn.process([_raw(FEW)])
    assert running.processor.offsets() == [], "nothing overtakes what waits"
    running.turn.ending = True
    async with asyncio.timeout(5):
        await running.turn.process([_raw(FEW + 1)])
    assert running.committable() == 0, "the next owner begins there"


async def test_many_dead_letters_are_a_problem() -> None:
    letters = DeadLetters(SilentLog(), "tests", AlarmSettings(alarm_at=3, alarm_within_s=3600))
    for count in (1, 2, 3):
        assert letters.problem is None
        await letters.write(_raw(count), "a test")
    assert letters.problem is not None
    assert "3 in all" in letters.problem
    soon = DeadLetters(SilentLog(), "tests", AlarmSettings(alarm_at=1, alarm_within_s=1e-9))
    await soon.write(_raw(1), "a test")
    assert soon.problem is None, "that was long ago"
