"""Fetches in sessions, at a real broker: few partitions are named, and nothing is missed."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient

from contracts.topics import ROUTES
from libs.bus import fetcher
from libs.bus.fetch_session import Asked, FetchSession
from libs.bus.messages import Bounds, encode_fetch
from libs.bus.settings import BusSettings

PARTITIONS = [TopicPartition(ROUTES.name, number) for number in range(4)]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many partitions each fetch has named."""
    counts: list[int] = []

    def counted(asked: Asked[TopicPartition], bounds: Bounds) -> bytes:
        counts.append(len(asked.positions))
        return encode_fetch(asked, bounds)

    monkeypatch.setattr(fetcher, "encode_fetch", counted)
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
        another = session_id + 1 if not seen else session_id
        seen.append(error_code)
        answered(self, another, error_code)

    monkeypatch.setattr(FetchSession, "answered", noted)
    await log.passes(1, b"after")
    await log.passes(2, b"much after")
    assert any(code != 0 for code in seen)
