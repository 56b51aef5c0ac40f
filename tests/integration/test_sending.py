"""Produce requests at a real broker: each record is there once and in order, whatever ends on the way."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber

from contracts.topics import ROUTES
from libs.bus import fetcher, sender
from libs.bus.frames import connection_to
from libs.bus.reader import PartitionReader
from libs.bus.settings import BusSettings

PARTITIONS = [TopicPartition(ROUTES.name, number) for number in range(3)]
RECORDS = 300


@pytest.fixture
async def producer(bus: BusSettings) -> AsyncIterator[AIOKafkaProducer]:
    started = AIOKafkaProducer(**bus.connection(), **bus.producing())
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def reader(bus: BusSettings) -> AsyncIterator[PartitionReader]:
    """At the end of each partition."""
    started = PartitionReader(bus, wait_ms=5_000)
    await started.start()
    started.assign(PARTITIONS)
    started.resume(await started.end_offsets(PARTITIONS))
    yield started
    await started.stop()


async def read(reader: PartitionReader, count: int) -> dict[int, list[bytes]]:
    """So many records, by partition."""
    found: dict[int, list[bytes]] = {}
    while sum(map(len, found.values())) < count:
        for partition, raws in (await reader.fetch()).items():
            found.setdefault(partition.partition, []).extend(raw.value for raw in raws)
    return found


def expected(count: int) -> dict[int, list[bytes]]:
    return {number: [b"%d" % one for one in range(count) if one % len(PARTITIONS) == number] for number in range(3)}


async def test_each_record_is_there_once_and_in_order_while_connections_end(
    producer: AIOKafkaProducer, reader: PartitionReader
) -> None:
    acknowledgements = []
    for one in range(RECORDS):
        number = one % len(PARTITIONS)
        acknowledgements.append(await producer.send(ROUTES.name, b"%d" % one, partition=number))
        if one % 7 == 0:
            await asyncio.sleep(0)
        if one % 50 == 25:
            await asyncio.wait_for(acknowledgements[one - 20], 30)
            for connection in list(producer.client._conns.values()):
                connection._writer.transport.abort()
    await asyncio.wait_for(asyncio.gather(*acknowledgements), 60)
    assert await asyncio.wait_for(read(reader, RECORDS), 30) == expected(RECORDS)
    assert await reader.fetch(within_ms=100) == {}


async def test_what_the_broker_refuses_fails_and_the_rest_goes_on(producer: AIOKafkaProducer) -> None:
    """As `libs.bus.producer` says, at the price of the partition's sequence."""
    await producer.send_and_wait(ROUTES.name, b"x", partition=0)
    large = await producer.send(ROUTES.name, b"x" * (ROUTES.max_record_bytes + 1), partition=0)
    with pytest.raises(MessageSizeTooLargeError):
        await asyncio.wait_for(large, 30)
    assert (await asyncio.wait_for(await producer.send(ROUTES.name, b"x", partition=1), 30)).partition == 1
    with pytest.raises(OutOfOrderSequenceNumber):
        await asyncio.wait_for(await producer.send(ROUTES.name, b"x", partition=0), 30)


async def test_a_broker_that_is_silent_is_asked_again_over_another_connection(
    bus: BusSettings, producer: AIOKafkaProducer, reader: PartitionReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr(fetcher, "ANSWER_WITHIN_S", 0.5)
    await producer.send_and_wait(ROUTES.name, b"0", partition=0)
    assert await asyncio.wait_for(read(reader, 1), 30) == {0: [b"0"]}
    for client in (producer.client, reader._consumer._client):
        (node_id,) = (broker.nodeId for broker in client.cluster.brokers())
        connection = connection_to(client, node_id)
        assert connection
        connection._writer.transport.pause_reading()
    await asyncio.wait_for(producer.send_and_wait(ROUTES.name, b"3", partition=0), 30)
    assert await asyncio.wait_for(read(reader, 1), 30) == {0: [b"3"]}


async def test_after_an_answer_a_broker_is_left_alone_for_as_long_as_that_has_taken(
    producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.send_and_wait(ROUTES.name, b"x", partition=0)
    (rests_until_s,) = producer._sender._rests_until_s.values()
    clock = SimpleNamespace(monotonic=lambda: rests_until_s - 0.001)
    monkeypatch.setattr("libs.bus.sender.time", clock)
    waiting = await producer.send(ROUTES.name, b"y", partition=0)
    producer._sender._pump()
    assert not producer._sender._in_flight
    clock.monotonic = lambda: rests_until_s
    await asyncio.wait_for(waiting, 30)
