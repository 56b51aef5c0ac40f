"""A record as it came from the log, and the decoding of its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

import contracts.decoding
from contracts import headers as names
from contracts.decoding import NotARecord
from contracts.headers import header
from contracts.record import Record, ReplyAddress
from contracts.topic import Topic
from contracts.topics import BY_NAME
from libs.bus.signing import NOBODY, Mark, SignatureError, Trust

R = TypeVar("R", bound=Record, covariant=True)


@dataclass(slots=True)
class Raw:
    """A record as it lies there. Nobody changes it; to be frozen would triple what it costs."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Epoch, ms."""
    key: Any
    value: Any
    """Bytes, or None; of the key, too."""
    headers: Sequence[tuple[str, bytes]]


def unpack(partition: TopicPartition, batches: bytes, begin: int) -> tuple[list[Raw], int]:
    """The records from an offset on, and the offset at which their partition goes on.

    Args:
        batches: as a fetch brings them; they may begin before the offset, and the last one may be cut off.

    Raises:
        CorruptRecordException: a batch is not what was written.
    """
    topic, number = partition
    found: list[Raw] = []
    next_offset = begin
    records = MemoryRecords(batches)
    while records.has_next():
        batch = records.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"{topic}-{number} at {next_offset}")
        if not batch.is_control_batch:
            found += [
                Raw(topic, number, one.offset, one.timestamp, one.key, one.value, one.headers)
                for one in batch
                if one.offset >= begin
            ]
        # What compaction has taken from the end of a batch counts too.
        next_offset = batch.next_offset
    return found, next_offset


class PoisonError(Exception):
    """A record that cannot be decoded, believed or handled; the message says why and quotes nothing of it."""


@dataclass(slots=True)
class Received(Generic[R]):
    """A decoded record and its position on the log. Nobody changes it; to be frozen would triple what it costs."""

    record: R
    topic: Topic[Any]
    partition: int
    offset: int
    timestamp_ms: int
    traceparent: str
    mark: Mark | None = None
    """On topics that name their signer."""
    headers: Sequence[tuple[str, bytes]] = ()
    """As they came."""


@dataclass(slots=True, frozen=True)
class Deleted:
    """The end of a key on a compacted topic."""

    topic: Topic[Any]
    key: str
    partition: int
    mark: Mark | None = None


@dataclass(slots=True, frozen=True)
class DeadLetter:
    """What is known of a record that could not be handled: its key and headers only."""

    topic: Topic[Any]
    key: str
    request_id: str | None
    reply_to: ReplyAddress | None
    traceparent: str
    reason: str


def decode(raw: Raw, trust: Trust = NOBODY) -> Received[Record]:
    """Verifies and decodes a record.

    Raises:
        PoisonError: see `contracts.decoding.decode` and `Trust.verify`.
    """
    topic = BY_NAME[raw.topic]
    mark = _verified(topic, raw, trust)
    try:
        record = contracts.decoding.decode(topic, raw.value, raw.headers)
    except NotARecord as error:
        raise PoisonError(str(error)) from None
    traceparent = header(raw.headers, names.TRACEPARENT) or ""
    return Received(record, topic, raw.partition, raw.offset, raw.timestamp, traceparent, mark, raw.headers)


def decode_state(raw: Raw, trust: Trust = NOBODY) -> Received[Record] | Deleted:
    """The same for a compacted topic, where a record without a value deletes its key.

    Raises:
        PoisonError: see `decode`.
    """
    if raw.value is None:
        topic = BY_NAME[raw.topic]
        return Deleted(topic, _key(raw), raw.partition, _verified(topic, raw, trust))
    return decode(raw, trust)


def _verified(topic: Topic[Any], raw: Raw, trust: Trust) -> Mark | None:
    try:
        return trust.verify(topic, raw.key, raw.value, raw.headers)
    except SignatureError as error:
        raise PoisonError(str(error)) from None


def _key(raw: Raw) -> str:
    key: bytes = raw.key or b""
    return key.decode("utf-8", "replace")


def dead_letter(raw: Raw, reason: str) -> DeadLetter:
    """What the headers of a broken record say."""
    address = header(raw.headers, names.REPLY_TO)
    try:
        reply_to = ReplyAddress.decode(address) if address else None
    except ValueError:
        reply_to = None
    return DeadLetter(
        topic=BY_NAME[raw.topic],
        key=_key(raw),
        request_id=header(raw.headers, names.SUBJECT),
        reply_to=reply_to,
        traceparent=header(raw.headers, names.TRACEPARENT) or "",
        reason=reason,
    )
