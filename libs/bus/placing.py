"""Where a record lies: the partition of its key."""

from typing import Any
from zlib import crc32

from contracts import topics
from contracts.record import Record
from contracts.topic import Topic
from libs.bus.settings import BusSettings


def partition_of(settings: BusSettings, topic: Topic[Any], key: str) -> int:
    """The partition of a key: by its CRC-32, as librdkafka's ``consistent`` partitioner has it.

    Kafka's Java clients use murmur2. There is no maintained library with a C core for it; in Python it took 10 µs, and
    each request has a key of its own in three processes.
    """
    return crc32(key.encode()) % settings.partitions_of(topic)


def partition_of_record(settings: BusSettings, topic: Topic[Any], record: Record, key: str) -> int:
    """The partition of a record with this key: its own choice, or that of what its topic goes by."""
    if topic.partition:
        return topic.partition(record)
    return partition_of(settings, topic, topic.partition_by(record) if topic.partition_by else key)


def partition_of_route(settings: BusSettings, request_id: str) -> int:
    """The partition of ``gateway.routes`` in which a request's route is: whoever has it runs the request."""
    return partition_of(settings, topics.ROUTES, request_id)
