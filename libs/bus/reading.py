"""Reading stretches of the log once, outside any group: to rebuild state, to audit, to show."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from contracts.topics import Topic
from libs.bus.settings import BusSettings

TIMES_WITHIN_S = 3.0
MOVES_WITHIN_S = 15.0


async def offsets_since(
    consumer: AIOKafkaConsumer, times_ms: Mapping[TopicPartition, int], first: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int | None]:
    """The offset of each partition's first record of a time or later; None where there is none.

    Tansu, after a restart, sometimes refuses to look for times at all; then it is the partition's first offset, so
    whoever must not see older records looks at their timestamps.
    """
    try:
        async with asyncio.timeout(TIMES_WITHIN_S):
            found = await consumer.offsets_for_times(dict(times_ms))
    except (KafkaError, TimeoutError):
        return {place: first[place] for place in times_ms}
    return {place: found[place].offset if found.get(place) else None for place in times_ms}


async def read_to_end(
    settings: BusSettings,
    topic: Topic,
    *,
    partitions: Collection[int] | None = None,
    since_ms: int | None = None,
    begin_at: Mapping[int, int] | None = None,
    dead_letters: bool = False,
) -> "AsyncIterator[ConsumerRecord[Any, Any]]":
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
    numbers = partitions if partitions is not None else range(settings.partitions_of(topic))
    places = [TopicPartition(name, number) for number in numbers]
    if not places:
        return
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **settings.connection(), **settings.fetching())
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        starts = await consumer.beginning_offsets(places)
        if since_ms is not None:
            found = await offsets_since(consumer, dict.fromkeys(places, since_ms), starts)
            starts = {place: ends[place] if offset is None else offset for place, offset in found.items()}
        begun = {place: (begin_at or {}).get(place.partition, ends[place]) for place in places}
        starts = {place: min(starts[place], begun[place]) for place in places}
        for place in places:
            consumer.seek(place, starts[place])
        behind = {place for place in places if starts[place] < ends[place]}
        positions, moved_s = starts, time.monotonic()
        while behind:
            if time.monotonic() - moved_s > MOVES_WITHIN_S:
                stuck = ", ".join(f"{place.partition} at {positions[place]} of {ends[place]}" for place in behind)
                raise KafkaTimeoutError(f"{name} cannot be read to its end (partition {stuck})")
            for raws in (await consumer.getmany(*behind, timeout_ms=200)).values():
                for raw in raws:
                    place = TopicPartition(raw.topic, raw.partition)
                    if since_ms is None or raw.timestamp >= since_ms or raw.offset >= begun[place]:
                        yield raw
            now = {place: await consumer.position(place) for place in behind}
            if any(now[place] != positions[place] for place in behind):
                moved_s = time.monotonic()
            positions = now
            # Tansu lists the end within its last batch; what a fetch says of it is right.
            behind = {place for place in behind if now[place] < max(ends[place], consumer.highwater(place) or 0)}
    finally:
        await consumer.stop()
