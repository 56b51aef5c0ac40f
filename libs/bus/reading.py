"""Reading stretches of the log once, outside any group: to rebuild state, to audit, to show."""

import time
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from contracts.headers import SUBJECT, header
from contracts.topic import Topic
from libs.bus.reader import PartitionReader
from libs.bus.records import Raw
from libs.bus.settings import BusSettings

MOVES_WITHIN_S = 15.0


def read_to_end(
    settings: BusSettings,
    topic: Topic[Any],
    *,
    partitions: Collection[int] | None = None,
    since_ms: int | None = None,
    begin_at: Mapping[int, int] | None = None,
    dead_letters: bool = False,
) -> AsyncGenerator[Raw, None]:
    """All records that are on the log when the reading starts, in order within each partition.

    Args:
        partitions: None means all.
        since_ms: begin at the first record of this time (epoch, ms) instead of the oldest.
        begin_at: offsets by partition; what is older than ``since_ms`` is read too, from there on.
        dead_letters: read the topic's dead-letter queue instead.

    Raises:
        KafkaError: the broker went away, or gives nothing for `MOVES_WITHIN_S`.
    """
    name = topic.dead_letters if dead_letters else topic.name
    numbers = partitions if partitions is not None else range(settings.partitions_of(topic, dead_letters=dead_letters))
    begins = {TopicPartition(name, number): offset for number, offset in (begin_at or {}).items()}
    return _read(settings, [TopicPartition(name, number) for number in numbers], since_ms, begins)


def read_queues(
    settings: BusSettings, topics: Collection[Topic[Any]], *, since_ms: int | None = None
) -> AsyncGenerator[Raw, None]:
    """All dead letters of some topics; otherwise as `read_to_end`."""
    chosen = [
        TopicPartition(topic.dead_letters, number)
        for topic in topics
        for number in range(settings.partitions_of(topic, dead_letters=True))
    ]
    return _read(settings, chosen, since_ms, {})


async def _read(
    settings: BusSettings,
    chosen: Collection[TopicPartition],
    since_ms: int | None,
    begin_at: Mapping[TopicPartition, int],
) -> AsyncGenerator[Raw, None]:
    if not chosen:
        return
    reader = PartitionReader(settings)
    await reader.start()
    try:
        reader.assign(chosen)
        ends = await reader.end_offsets(chosen)
        starts = await reader.first_offsets(chosen)
        if since_ms is not None:
            found = await reader.offsets_since(dict.fromkeys(chosen, since_ms))
            starts = {partition: ends[partition] if offset is None else offset for partition, offset in found.items()}
        wanted = {partition: begin_at.get(partition, ends[partition]) for partition in chosen}
        starts = {partition: min(starts[partition], wanted[partition]) for partition in chosen}
        behind = {partition: starts[partition] for partition in chosen if starts[partition] < ends[partition]}
        reader.resume(behind)
        moved_s = time.monotonic()
        while behind:
            if time.monotonic() - moved_s > MOVES_WITHIN_S:
                stuck = ", ".join(
                    f"{name}-{number} at {at} of {ends[TopicPartition(name, number)]}"
                    for (name, number), at in behind.items()
                )
                raise KafkaTimeoutError(f"not read to the end: {stuck}")
            for raws in (await reader.fetch(within_ms=200)).values():
                for raw in raws:
                    partition = TopicPartition(raw.topic, raw.partition)
                    if raw.offset >= ends[partition]:
                        break
                    if since_ms is None or raw.timestamp >= since_ms or raw.offset >= wanted[partition]:
                        yield raw
            # A position, not the last record: what compaction took leaves no record at the end.
            now = {partition: await reader.position(partition) for partition in behind}
            if now != behind:
                moved_s = time.monotonic()
            behind = {partition: at for partition, at in now.items() if at < ends[partition]}
            reader.pause([partition for partition in now if partition not in behind])
    finally:
        await reader.stop()


async def read_one(settings: BusSettings, topic: Topic[Any], partition: int, offset: int) -> "Raw | None":
    """The record at an offset; None where the log has let go of it.

    Raises:
        KafkaError: the broker went away, or gives nothing for `MOVES_WITHIN_S`.
    """
    chosen = TopicPartition(topic.name, partition)
    reader = PartitionReader(settings)
    await reader.start()
    try:
        reader.assign([chosen])
        first, end = (await reader.first_offsets([chosen]))[chosen], (await reader.end_offsets([chosen]))[chosen]
        if not first <= offset < end:
            return None
        reader.resume({chosen: offset})
        deadline_s = time.monotonic() + MOVES_WITHIN_S
        while time.monotonic() < deadline_s:
            for raws in (await reader.fetch(most=1)).values():
                return raws[0] if raws[0].offset == offset else None
        raise KafkaTimeoutError(f"{topic.name} cannot be read (partition {partition} at {offset})")
    finally:
        await reader.stop()


async def find_about(
    settings: BusSettings, topic: Topic[Any], partition: int, subject: str, *, since_ms: int, until_ms: int, most: int
) -> "Raw | None":
    """The first record about a subject that was written in this time; None where it is not among so many records.

    Raises:
        KafkaError: as `read_to_end` does.
    """
    seen = 0
    async with aclosing(read_to_end(settings, topic, partitions=[partition], since_ms=since_ms)) as raws:
        async for raw in raws:
            if header(raw.headers, SUBJECT) == subject:
                return raw
            seen += 1
            if raw.timestamp > until_ms or seen >= most:
                break
    return None


async def empty_topics(settings: BusSettings, topics: Collection[Topic[Any]]) -> list[Topic[Any]]:
    """Those to which nothing was ever published.

    Raises:
        KafkaError: the broker is away.
    """
    partitions = [
        TopicPartition(topic.name, number) for topic in topics for number in range(settings.partitions_of(topic))
    ]
    reader = PartitionReader(settings)
    await reader.start()
    try:
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
    finally:
        await reader.stop()
    filled = {partition.topic for partition, end in ends.items() if end}
    return [topic for topic in topics if topic.name not in filled]
