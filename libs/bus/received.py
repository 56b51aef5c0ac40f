"""A record as it came from the log, and the reading of its bytes."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from contracts import headers as names
from contracts.headers import header
from contracts.record import Record, ReplyAddress
from contracts.topics import BY_NAME, Topic

_BY_TYPE: dict[str, dict[str, type[Record]]] = {
    topic.name: {names.TYPE_PREFIX + kind.__name__: kind for kind in topic.records} for topic in BY_NAME.values()
}


R = TypeVar("R", bound=Record, covariant=True)


class PoisonError(Exception):
    """A record that cannot be read or handled; the message says why and quotes nothing of it."""


@dataclass(slots=True, frozen=True)
class Received(Generic[R]):
    """One record with its place in the log."""

    record: R
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str
    traceparent: str


@dataclass(slots=True, frozen=True)
class Poison:
    """What is known of a record that could not be read: its headers only."""

    topic: Topic
    key: str
    request_id: str | None
    reply_to: ReplyAddress | None
    traceparent: str
    timestamp_ms: int
    reason: str


def parse(raw: "ConsumerRecord[Any, Any]") -> Received[Record]:
    """Reads a record by its ``ce_type``, or by its topic where that has one type only.

    Raises:
        PoisonError: no value, an unknown type, or a value that does not fit its contract.
    """
    type_name = traceparent = ""
    for name, value in raw.headers:
        if name == names.TYPE:
            type_name = value.decode("utf-8", "replace")
        elif name == names.TRACEPARENT:
            traceparent = value.decode("utf-8", "replace")
    kinds = _BY_TYPE[raw.topic]
    kind = kinds.get(type_name)
    if kind is None:
        if type_name or len(kinds) > 1:
            raise PoisonError(f"unknown record type {type_name[:100]!r}; this topic has {', '.join(sorted(kinds))}")
        (kind,) = kinds.values()
    if raw.value is None:
        raise PoisonError("the record has no value")
    try:
        record = kind.__pydantic_validator__.validate_json(raw.value)
    except ValidationError as error:
        raise PoisonError(f"not a {kind.__name__}: {describe(error)}") from None
    key = raw.key.decode("utf-8", "replace") if raw.key else ""
    return Received(record, raw.topic, raw.partition, raw.offset, raw.timestamp, key, traceparent)


def describe(error: ValidationError) -> str:
    """What is wrong and where, without the values: they may be secrets or prompts."""
    problems = [
        f"{'.'.join(str(part) for part in item['loc']) or 'record'}: {item['type']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "; ".join(problems[:5])


def poison(raw: "ConsumerRecord[Any, Any]", reason: str) -> Poison:
    """Reads what the headers tell of a broken record."""
    address = header(raw.headers, names.REPLY_TO)
    try:
        reply_to = ReplyAddress.decode(address) if address else None
    except ValueError:
        reply_to = None
    return Poison(
        topic=BY_NAME[raw.topic],
        key=raw.key.decode("utf-8", "replace") if raw.key else "",
        request_id=header(raw.headers, names.SUBJECT),
        reply_to=reply_to,
        traceparent=header(raw.headers, names.TRACEPARENT) or "",
        timestamp_ms=raw.timestamp,
        reason=reason,
    )
