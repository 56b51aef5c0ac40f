"""From the bytes of a topic to its typed record: all that a consumer needs beside a Kafka client."""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from . import headers as names
from .record import JSON, Record
from .topic import Topic

R = TypeVar("R", bound=Record)
_JSON = JSON.encode()


class NotARecord(ValueError):
    """What lies there is none of the topic's records; the message says why and quotes nothing of it."""


def decode(topic: Topic[R], value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> R:
    """Decodes a record by its ``ce_type``, or by its topic where that has one type only.

    Args:
        headers: as every Kafka client gives them.

    Raises:
        NotARecord: no value, an unknown type, or a value that does not fit its contract.
    """
    found = dict(headers)
    if None in found.values():
        empty = next(name for name, content in found.items() if content is None)
        raise NotARecord(f"the header {empty[:100]!r} has no value")
    present = cast("dict[str, bytes]", found)
    type_name = present.get(names.TYPE, b"")
    kinds = _kinds(topic)
    kind = kinds.get(type_name)
    if kind is None:
        if type_name or len(kinds) > 1:
            known = ", ".join(sorted(one.decode() for one in kinds))
            raise NotARecord(
                f"unknown record type {type_name.decode('utf-8', 'replace')[:100]!r}; this topic has {known}"
            )
        (kind,) = kinds.values()
    if value is None:
        raise NotARecord("the record has no value")
    try:
        subject = present.get(names.SUBJECT, b"").decode("utf-8", "replace")
        media_type = present.get(names.CONTENT_TYPE, _JSON).decode("utf-8", "replace")
        record: R = kind.decode(value, subject, media_type, present)
    except ValueError as error:
        what = describe(error) if isinstance(error, ValidationError) else "no JSON object"
        raise NotARecord(f"not a {kind.__name__}: {what}") from None
    return record


def describe(error: ValidationError) -> str:
    """What is wrong and where, without the values: they may be secrets or prompts."""
    problems = [
        f"{'.'.join(str(part) for part in item['loc']) or 'record'}: {item['type']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "; ".join(problems[:5])


@cache
def _kinds(topic: Topic[Any]) -> dict[bytes, Any]:
    return {(names.TYPE_PREFIX + kind.__name__).encode(): kind for kind in topic.records}
