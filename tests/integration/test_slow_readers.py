"""What a reader asks a real broker for while it is slow to take what it has."""

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.protocol.fetch import FetchRequest

from contracts import topics
from libs.bus.reader import PartitionReader
from libs.bus.settings import BusSettings
from tests.integration.publishing import raw_producer
from tests.stacks import until

AIOKAFKA_WAITS_S = 0.1
"""By itself: then it asks for all other partitions."""


async def test_no_fetch_leaves_out_a_partition_whose_records_wait_to_be_taken(bus: BusSettings) -> None:
    """The broker would hold it for as long as the others have nothing, and what comes to this one meanwhile with it."""
    chosen = [TopicPartition(topics.REPLIES.name, 0), TopicPartition(topics.KEPT_REPLIES.name, 0)]
    reader, asked = PartitionReader(bus, wait_ms=5_000), list[set[str]]()
    await reader.start()
    try:
        client: Any = reader._consumer._client
        send = client.send

        async def noted(node: int, request: Any, **more: Any) -> Any:
            if isinstance(request, FetchRequest):
                asked.append({name for name, _ in request.topics})
            return await send(node, request, **more)

        client.send = noted
        reader.assign(chosen)
        reader.resume(await reader.end_offsets(chosen))
        await until(lambda: _true(len(asked)), what="a fetch")
        async with raw_producer(bus) as producer:
            await producer.send_and_wait(chosen[0].topic, b"x", partition=0)
        await until(lambda: _true(len(reader._consumer._fetcher._records)), what="its record")
        await asyncio.sleep(3 * AIOKAFKA_WAITS_S)
        assert list(await reader.fetch()) == [chosen[0]]
        await until(lambda: _true(len(asked) > 1), what="the next fetch")
    finally:
        await reader.stop()
    assert all(names == {one.topic for one in chosen} for names in asked)


async def _true(value: int) -> bool | None:
    return bool(value) or None
