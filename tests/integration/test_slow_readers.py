"""What a reader asks a real broker for while it is slow to take what it has."""

import asyncio

from aiokafka import TopicPartition
from pytest import MonkeyPatch

from contracts import topics
from libs.bus import fetcher
from libs.bus.fetch_session import Asked
from libs.bus.messages import Bounds, encode_fetch
from libs.bus.reader import PartitionReader
from libs.bus.settings import BusSettings
from tests.integration.publishing import raw_producer
from tests.stacks import until


async def test_nothing_is_fetched_while_records_wait_to_be_taken(bus: BusSettings, monkeypatch: MonkeyPatch) -> None:
    """A fetch of the other partitions alone would be held by the broker for as long as they have nothing, and what
    comes to this one meanwhile with it."""
    asked: list[Asked[TopicPartition]] = []

    def noted(one: Asked[TopicPartition], bounds: Bounds) -> bytes:
        asked.append(one)
        return encode_fetch(one, bounds)

    monkeypatch.setattr(fetcher, "encode_fetch", noted)
    chosen = [TopicPartition(topics.REPLIES.name, 0), TopicPartition(topics.KEPT_REPLIES.name, 0)]
    reader = PartitionReader(bus, wait_ms=5_000)
    await reader.start()
    try:
        reader.assign(chosen)
        reader.resume(await reader.end_offsets(chosen))
        await until(lambda: _true(len(asked)), what="a fetch")
        async with raw_producer(bus) as producer:
            await producer.send_and_wait(chosen[0].topic, b"x", partition=0)
        await until(lambda: _true(bool(reader._consumer._fetcher._untaken)), what="its record")
        # Whatever the fetcher does by itself, it has done by then.
        await asyncio.sleep(2 * fetcher.LOOK_EVERY_S)
        assert [set(one.positions) for one in asked] == [set(chosen)]
        assert list(await reader.fetch()) == [chosen[0]]
        assert len(asked) == 1, "they are worked on"
        assert await reader.fetch(within_ms=1) == {}
        assert [set(one.positions) for one in asked[1:]] == [{chosen[0]}]
        assert asked[1].forgotten == []
    finally:
        await reader.stop()


async def _true(value: object) -> bool | None:
    return bool(value) or None
