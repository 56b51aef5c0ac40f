"""Which partition a key is in: its CRC-32, as librdkafka's ``consistent`` partitioner has it.

Kafka's Java clients use murmur2, for which there is no maintained library with a C core; in Python it took 10 µs a key,
and each request has a key of its own in three processes.
"""

from collections.abc import Sequence
from zlib import crc32

from aiokafka.partitioner import DefaultPartitioner


class Partitioner(DefaultPartitioner):  # type: ignore[misc]
    """In place of aiokafka's own."""

    def __call__(self, key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:
        """The partition of a key; without one any that has a leader."""
        if key is None:
            chosen: int = super().__call__(key, all_partitions, available)
            return chosen
        return all_partitions[crc32(key) % len(all_partitions)]
