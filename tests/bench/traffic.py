"""What a request puts on the log, topic by topic: records, and bytes in the broker's files."""

import asyncio
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.topics import TOPICS
from libs.bus.settings import BusSettings
from tests.bench.asking import Door
from tests.bench.stacks import Measured, measured_stack

KINDS = {"whole": False, "stream": True}
SETTLE_S = 3.0
"""Charges and balances come after the answers."""

Counts = dict[str, tuple[int, int]]
"""Records and bytes by topic."""


async def by_traffic(options: Namespace) -> list[dict[str, Any]]:
    """Rows of topics, by whole answers and by streams of 200 chunks."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    async with measured_stack(options.kafka) as measured:
        for name, stream in KINDS.items():
            door = Door(measured.stack.base_url)
            raw = door.request(measured.key, stream=stream)
            await door.keep_busy(raw, connections=1, seconds=1)
            before = await _settled(measured)
            result = await door.keep_busy(raw, connections=options.connections, seconds=options.seconds)
            found[name] = a_request(before, await _settled(measured), len(result.samples))
    return rows(found)


def a_request(before: Counts, after: Counts, requests: int) -> dict[str, tuple[float, float]]:
    """What has come since, divided by the requests. Pure."""
    return {
        topic: ((records - before[topic][0]) / requests, (size - before[topic][1]) / requests)
        for topic, (records, size) in after.items()
    }


def rows(found: dict[str, dict[str, tuple[float, float]]]) -> list[dict[str, Any]]:
    """A table, and its sum; topics with less than one record in twenty requests are in the sum alone. Pure."""
    topics = [topic for topic in next(iter(found.values())) if any(one[topic][0] >= 0.05 for one in found.values())]
    table: list[dict[str, Any]] = [{"topic": topic} for topic in [*topics, "all"]]
    for name, by_topic in found.items():
        whole = sum(records for records, _ in by_topic.values()), sum(size for _, size in by_topic.values())
        for row in table:
            records, size = by_topic.get(row["topic"], whole)
            row |= {f"{name}: records": round(records, 1), f"{name}: bytes": round(size)}
    return table


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the log's segments by topic, below a broker's folder."""
    found: dict[str, int] = defaultdict(int)
    for segment in folder.rglob("*.log"):
        topic, dash, partition = segment.parent.name.rpartition("-")
        if dash and partition.isdigit():
            found[topic] += segment.stat().st_size
    return found


async def _settled(measured: Measured) -> Counts:
    await asyncio.sleep(SETTLE_S)
    size = sizes(measured.stack.secrets_file.parent)
    records = await _records(measured.stack.bus)
    return {topic.name: (records[topic.name], size.get(topic.name, 0)) for topic in TOPICS}


async def _records(bus: BusSettings) -> dict[str, int]:
    admin, consumer = AIOKafkaAdminClient(**bus.connection()), AIOKafkaConsumer(**bus.connection())
    found: dict[str, int] = defaultdict(int)
    await admin.start()
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics([topic.name for topic in TOPICS])
            for partition in topic["partitions"]
        ]
        for partition, end in (await consumer.end_offsets(partitions)).items():
            found[partition.topic] += end
    finally:
        await consumer.stop()
        await admin.close()
    return found
