"""A record as it came from the log, and the decoding of its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiokafka.consumer import fetcher

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
    """A record as it lies there: aiokafka's own, which is frozen, and so takes three times as long to make."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Epoch, ms."""
    timestamp_type: int
    key: Any
    value: Any
    """Bytes, or None; of the key, too."""
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: Sequence[tuple[str, bytes]]


def make_records_raw() -> None:
    """From now on this process's consumers receive `Raw`."""
    fetcher.ConsumerRecord = Raw


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
