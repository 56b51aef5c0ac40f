"""A record as it came from the log, and the decoding of its bytes."""

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts import headers as names
from contracts.headers import header
from contracts.record import Record, ReplyAddress
from contracts.topic import Topic
from contracts.topics import BY_NAME

Raw: TypeAlias = "ConsumerRecord[Any, Any]"

_BY_TYPE: dict[str, dict[str, type[Record]]] = {
    topic.name: {names.TYPE_PREFIX + kind.__name__: kind for kind in topic.records} for topic in BY_NAME.values()
}

R = TypeVar("R", bound=Record, covariant=True)


class PoisonError(Exception):
    """A record that cannot be decoded or handled; the message says why and quotes nothing of it."""


@dataclass(slots=True, frozen=True)
class Received(Generic[R]):
    """A decoded record and its position on the log."""

    record: R
    topic: Topic[Any]
    partition: int
    offset: int
    timestamp_ms: int
    traceparent: str


@dataclass(slots=True, frozen=True)
class Deleted:
    """The end of a key on a compacted topic."""

    topic: Topic[Any]
    key: str
    partition: int


@dataclass(slots=True, frozen=True)
class DeadLetter:
    """What is known of a record that could not be handled: its headers only."""

    topic: Topic[Any]
    request_id: str | None
    reply_to: ReplyAddress | None
    traceparent: str
    reason: str


def decode(raw: Raw) -> Received[Record]:
    """Decodes a record by its ``ce_type``, or by its topic where that has one type only.

    Raises:
        PoisonError: no value, an unknown type, or a value that does not fit its contract.
    """
    type_name = traceparent = subject = ""
    for name, value in raw.headers:
        if name == names.TYPE:
            type_name = value.decode("utf-8", "replace")
        elif name == names.TRACEPARENT:
            traceparent = value.decode("utf-8", "replace")
        elif name == names.SUBJECT:
            subject = value.decode("utf-8", "replace")
    kinds = _BY_TYPE[raw.topic]
    kind = kinds.get(type_name)
    if kind is None:
        if type_name or len(kinds) > 1:
            raise PoisonError(f"unknown record type {type_name[:100]!r}; this topic has {', '.join(sorted(kinds))}")
        (kind,) = kinds.values()
    if raw.value is None:
        raise PoisonError("the record has no value")
    try:
        record = kind.decode(raw.value, subject)
    except ValueError as error:
        what = describe(error) if isinstance(error, ValidationError) else "no JSON object"
        raise PoisonError(f"not a {kind.__name__}: {what}") from None
    return Received(record, BY_NAME[raw.topic], raw.partition, raw.offset, raw.timestamp, traceparent)


def decode_state(raw: Raw) -> Received[Record] | Deleted:
    """The same for a compacted topic, where a record without a value deletes its key.

    Raises:
        PoisonError: see `decode`.
    """
    if raw.value is None:
        return Deleted(BY_NAME[raw.topic], (raw.key or b"").decode("utf-8", "replace"), raw.partition)
    return decode(raw)


def describe(error: ValidationError) -> str:
    """What is wrong and where, without the values: they may be secrets or prompts."""
    problems = [
        f"{'.'.join(str(part) for part in item['loc']) or 'record'}: {item['type']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "; ".join(problems[:5])


def dead_letter(raw: Raw, reason: str) -> DeadLetter:
    """What the headers of a broken record say."""
    address = header(raw.headers, names.REPLY_TO)
    try:
        reply_to = ReplyAddress.decode(address) if address else None
    except ValueError:
        reply_to = None
    return DeadLetter(
        topic=BY_NAME[raw.topic],
        request_id=header(raw.headers, names.SUBJECT),
        reply_to=reply_to,
        traceparent=header(raw.headers, names.TRACEPARENT) or "",
        reason=reason,
    )
