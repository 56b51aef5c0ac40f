"""Fetches in sessions, at a real broker: few partitions are named, and nothing is missed."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from contracts.topics import ROUTES
from libs.bus import fetching
from libs.bus.fetch_session import FetchSession
from libs.bus.settings import BusSettings

PARTITIONS = [TopicPartition(ROUTES.name, number) for number in range(4)]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many partitions each fetch has named."""
    counts: list[int] = []
    build = fetching.SessionFetch.build

    def counted(self: fetching.SessionFetch, struct: Any) -> Any:
        request = build(self, struct)
        counts.append(sum(len(entries) for _, entries in request.topics))
        return request

    monkeypatch.setattr(fetching.SessionFetch, "build", counted)
    return counts


class Log:
    """A producer and a consumer of one topic."""

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._producer = producer
        self.consumer = consumer

    async def passes(self, partition: int, value: bytes) -> None:
        """One record, published and received."""
        await self._producer.send_and_wait(ROUTES.name, value, partition=partition)
        record = await self.consumer.getone()
        assert (record.partition, record.value) == (partition, value)


@pytest.fixture
async def log(bus: BusSettings) -> Any:
    """At the end of its topic."""
    producer = AIOKafkaProducer(**bus.connection())
    consumer = AIOKafkaConsumer(**bus.connection(), **bus.fetching(wait_ms=100))
    await producer.start()
    await consumer.start()
    consumer.assign(PARTITIONS)
    await consumer.seek_to_end()
    for partition in PARTITIONS:
        await consumer.position(partition)
    yield Log(producer, consumer)
    await consumer.stop()
    await producer.stop()


async def test_a_fetch_names_no_partition_without_news(log: Log, named: list[int]) -> None:
    for number in range(40):
        await log.passes(number % 4, b"%d" % number)
    assert len(named) >= 39, "one was on its way"
    assert set(named) <= {0, 1}


async def test_a_paused_partition_is_forgotten_and_asked_for_again(log: Log, named: list[int]) -> None:
    await log.passes(0, b"before")
    log.consumer.pause(PARTITIONS[1])
    await log.passes(2, b"beside")
    log.consumer.resume(PARTITIONS[1])
    await log.passes(1, b"after")
    log.consumer.seek(PARTITIONS[1], (await log.consumer.position(PARTITIONS[1])) - 1)
    again = await log.consumer.getone()
    assert again.value == b"after"


async def test_a_cut_connection_begins_another_session(log: Log, named: list[int]) -> None:
    await log.passes(0, b"before")
    named.clear()
    while not named:
        await asyncio.sleep(0.01)
    # One is on its way.
    client: AIOKafkaClient = log.consumer._client
    for connection in list(client._conns.values()):
        connection.close()
    await log.passes(1, b"after")
    assert len(PARTITIONS) in named


async def test_a_session_that_the_broker_has_not_is_replaced(
    log: Log, named: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.passes(0, b"before")
    answered = FetchSession.answered
    seen: list[int] = []

    def noted(self: Any, session_id: int, error_code: int) -> None:
        seen.append(error_code)
        answered(self, session_id, error_code)

    monkeypatch.setattr(FetchSession, "answered", noted)
    assignment = log.consumer._subscription.subscription.assignment
    for session in assignment.sluice_sessions.values():
        session._id += 1
    await log.passes(1, b"after")
    await log.passes(2, b"much after")
    assert any(code != 0 for code in seen)


async def test_a_broker_of_before_sessions_is_asked_as_ever() -> None:
    whole = FetchRequest(1, 1, 1, 0, [(ROUTES.name, [(0, 5, 9)])])
    asked = fetching.SessionFetch(whole, FetchSession())
    old = next(one for one in FetchRequest._CLASSES if one.API_VERSION == 4)
    assert asked.build(old).encode() == whole.build(old).encode()
