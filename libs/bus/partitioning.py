"""Which partition a key is in: Kafka's murmur2, computed once for the several records that a request publishes."""

from collections.abc import Sequence
from functools import lru_cache

from aiokafka.partitioner import DefaultPartitioner, murmur2

KEYS = 4_096
"""Whose hash is kept. aiokafka's murmur2 is Python, and was 3 % of a relay's time."""
_POSITIVE = 0x7FFFFFFF


class Partitioner(DefaultPartitioner):  # type: ignore[misc]
    """As aiokafka's own, and as Kafka's Java client places keys."""

    def __call__(self, key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:
        """The partition of a key; without one any that has a leader."""
        if key is None:
            chosen: int = super().__call__(key, all_partitions, available)
            return chosen
        return all_partitions[_hash(key) % len(all_partitions)]


@lru_cache(maxsize=KEYS)
def _hash(key: bytes) -> int:
    found: int = murmur2(key)
    return found & _POSITIVE
