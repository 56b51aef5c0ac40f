"""Fetch and produce requests and their answers as bytes, as Kafka's message definitions say. Pure.

aiokafka builds and reads them field by field from a schema, which takes longer than all else that is done for them. Of
each there is one version here, of Kafka 2.3 or before; Kafka 4 has them still.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from aiokafka import TopicPartition

from libs.bus.fetch_session import Asked


class Api(NamedTuple):
    """A kind of request, in one version."""

    key: int
    version: int


PRODUCE = Api(0, 7)
FETCH = Api(1, 11)

_CONSUMER = -1
"""In place of a replica's ID; leader epochs and the log's start are likewise not known to a consumer."""
_UNKNOWN = -1
_READ_UNCOMMITTED = 0
_AT_LEAST_BYTES = 1
_ABORTED_BYTES = 16
_NO_RACK = b"\x00\x00"
_NO_TRANSACTION = b"\xff\xff"
_CORRELATION_BYTES = 4

_SHORT = struct.Struct(">h")
_INT = struct.Struct(">i")
_HEAD = struct.Struct(">iiiibii")
_POSITION = struct.Struct(">iiqqi")
_ANSWER_HEAD = struct.Struct(">iihii")
_PART_HEAD = struct.Struct(">ihqqqi")
_PART_TAIL = struct.Struct(">ii")
_PRODUCE_HEAD = struct.Struct(">hi")
_BATCH_HEAD = struct.Struct(">ii")
_WRITTEN = struct.Struct(">ihqqq")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of an answer."""

    wait_ms: int
    """So long the broker may hold a fetch that finds nothing."""
    most_bytes: int
    most_partition_bytes: int


class Written(NamedTuple):
    """What an answer says of one partition to which something was to be written."""

    partition: TopicPartition
    error_code: int
    offset: int
    """Of the first record."""
    timestamp: int
    """Epoch, ms; -1: the producer's own counts."""
    log_start: int


class Part(NamedTuple):
    """What an answer says of one partition that is read."""

    partition: TopicPartition
    error_code: int
    end: int
    """The offset that the partition's next record will have, as far as it is replicated."""
    records: bytes
    """Record batches; the last one may be cut off."""


class Answer(NamedTuple):
    """Of a fetch."""

    error_code: int
    session_id: int
    parts: list[Part]


def encode_fetch(asked: Asked[TopicPartition], bounds: Bounds) -> bytes:
    """The fetch, without its header."""
    head = _HEAD.pack(
        _CONSUMER,
        bounds.wait_ms,
        _AT_LEAST_BYTES,
        bounds.most_bytes,
        _READ_UNCOMMITTED,
        asked.session_id,
        asked.epoch,
    )
    positions = _by_topic(
        (partition.topic, _position(partition.partition, offset, bounds.most_partition_bytes))
        for partition, offset in asked.positions.items()
    )
    forgotten = _by_topic((partition.topic, _INT.pack(partition.partition)) for partition in asked.forgotten)
    return b"".join((head, positions, forgotten, _NO_RACK))


def _position(number: int, offset: int, most_bytes: int) -> bytes:
    return _POSITION.pack(number, _UNKNOWN, offset, _UNKNOWN, most_bytes)


def _by_topic(entries: Iterable[tuple[str, bytes]]) -> bytes:
    topics: dict[str, list[bytes]] = {}
    for topic, entry in entries:
        topics.setdefault(topic, []).append(entry)
    found = [_INT.pack(len(topics))]
    for topic, some in topics.items():
        found += (_string(topic), _INT.pack(len(some)), *some)
    return b"".join(found)


@lru_cache(maxsize=1024)
def _string(text: str) -> bytes:
    encoded = text.encode()
    return _SHORT.pack(len(encoded)) + encoded


def decode_fetched(frame: bytes) -> Answer:
    """Of a frame, which begins with the correlation ID.

    Raises:
        struct.error, ValueError: it is cut off.
    """
    _, _, error_code, session_id, topics = _ANSWER_HEAD.unpack_from(frame)
    return Answer(error_code, session_id, list(_parts(frame, topics)))


def _parts(frame: bytes, topics: int) -> Iterator[Part]:
    at = _ANSWER_HEAD.size
    for _ in range(topics):
        topic, count, at = _topic(frame, at)
        for _ in range(count):
            number, error_code, end, _, _, aborted = _PART_HEAD.unpack_from(frame, at)
            at += _PART_HEAD.size + max(aborted, 0) * _ABORTED_BYTES
            _, size = _PART_TAIL.unpack_from(frame, at)
            at += _PART_TAIL.size
            records = frame[at : at + size] if size > 0 else b""
            if len(records) < size:
                raise ValueError("an answer that is cut off")
            at += len(records)
            yield Part(TopicPartition(topic, number), error_code, end, records)


def _topic(frame: bytes, at: int) -> tuple[str, int, int]:
    """A topic's name, the number of its partitions, and where they begin."""
    (size,) = _SHORT.unpack_from(frame, at)
    begin = at + _SHORT.size
    end = begin + size
    (count,) = _INT.unpack_from(frame, end)
    return _text(frame[begin:end]), count, end + _INT.size


def encode_produce(batches: Iterable[tuple[TopicPartition, bytes]], *, acks: int, within_ms: int) -> bytes:
    """A produce request, without its header.

    Args:
        batches: one of each partition.
        acks: -1: all replicas that are in sync have it before the broker answers.
        within_ms: so long the broker waits for them.
    """
    written = _by_topic(
        (partition.topic, _BATCH_HEAD.pack(partition.partition, len(batch)) + batch) for partition, batch in batches
    )
    return b"".join((_NO_TRANSACTION, _PRODUCE_HEAD.pack(acks, within_ms), written))


def decode_written(frame: bytes) -> list[Written]:
    """Of the answer to a produce request, as a frame.

    Raises:
        struct.error: it is cut off.
    """
    (topics,) = _INT.unpack_from(frame, _CORRELATION_BYTES)
    at = _CORRELATION_BYTES + _INT.size
    found = []
    for _ in range(topics):
        topic, count, at = _topic(frame, at)
        for _ in range(count):
            number, error_code, offset, timestamp, log_start = _WRITTEN.unpack_from(frame, at)
            at += _WRITTEN.size
            found.append(Written(TopicPartition(topic, number), error_code, offset, timestamp, log_start))
    return found


@lru_cache(maxsize=1024)
def _text(encoded: bytes) -> str:
    return encoded.decode()
