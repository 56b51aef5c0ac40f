"""What every record shares: immutable, tolerant of newer fields, versioned by its topic."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from .word import Word

RequestId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""A UUIDv7 (RFC 9562) in its canonical form; it sorts by the time of admission."""

Subject = Annotated[str, Field(pattern=r"^(org|acct|ip):.{1,128}$")]
"""Who a quota is counted against: ``org:<id>``, ``acct:<id>``, or ``ip:<address>`` for free models."""

JSON = "application/json"

NO_HEADERS: Mapping[str, bytes] = {}

EpochMs = Annotated[int, Field(ge=0)]
"""Milliseconds since 1970-01-01T00:00:00Z."""


def empty(kind: Callable[[], Any]) -> Any:
    """The default of a field: an empty list or dictionary of its own.

    Written as ``= []`` pydantic would make it with `copy.deepcopy`, which took two thirds of the time to decode a
    record (10 to 20 µs of a request's).
    """
    return Field(default_factory=kind, json_schema_extra={"default": kind()})


class Value(BaseModel):
    """A part of records. Unknown fields are ignored, so that a newer writer harms nobody."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Record(Value):
    """A past participle of what happened: the value of one record on a topic."""

    @property
    def event_subject(self) -> str:
        """What it is about: the ``subject`` of CloudEvents."""
        raise NotImplementedError

    @property
    def media_type(self) -> str:
        """Of the value: the ``datacontenttype`` of CloudEvents."""
        return JSON

    @property
    def event_id(self) -> str:
        """The ``id`` of CloudEvents: the same whenever the same event is published, so that readers can dedupe."""
        return f"{self.event_subject}/{type(self).__name__}"

    @property
    def own_headers(self) -> list[tuple[str, bytes]]:
        """Headers beside those that every record has: of one whose value is all content."""
        return []

    def encode(self) -> bytes:
        """The value on the log: JSON without defaults."""
        return self.__pydantic_serializer__.to_json(self, exclude_defaults=True)

    @classmethod
    def decode(
        cls, value: bytes, subject: str, media_type: str = JSON, headers: Mapping[str, bytes] = NO_HEADERS
    ) -> Self:
        """Inverse of `encode`.

        Args:
            subject: the record's `event_subject`, as its headers have it.
            media_type: its `media_type`, likewise.
            headers: all of them.

        Raises:
            ValueError: the value does not fit the contract (pydantic.ValidationError), or is no JSON.
        """
        return cls.model_validate_json(value)


class RequestRecord(Record):
    """A record about one request."""

    request_id: RequestId

    @property
    def event_subject(self) -> str:
        return self.request_id


class StateRecord(Record):
    """The present state of one thing, on a compacted topic: the newest record of its key is all that counts."""

    @property
    def state_key(self) -> str:
        """The key on the topic."""
        raise NotImplementedError

    @property
    def event_subject(self) -> str:
        return self.state_key

    @property
    def event_id(self) -> str:
        return f"{self.state_key}/{blake2b(self.encode(), digest_size=8).hexdigest()}"


class Lasting(Word):
    """How long an answer goes on, and is kept."""

    CONNECTION = "connection"
    """It ends when its client leaves, and is written no faster than that reads."""
    ANSWER = "answer"
    """It runs to its end, whoever reads."""
    KEPT = "kept"
    """So does this one, and it is kept for a day, sealed, on ``gateway.kept-replies``."""


class ReplyAddress(Value):
    """Where the answer goes: one ingress's partition of ``gateway.replies``, for as long as its claim holds; or the one
    of the same number of ``gateway.kept-replies``."""

    partition: Annotated[int, Field(ge=0)]
    ingress_id: str
    lasting: Lasting = Lasting.CONNECTION

    def encode(self) -> str:
        """Header form, so that even a record whose value is broken can be answered."""
        lasting = "" if self.lasting is Lasting.CONNECTION else f"+{self.lasting.value}"
        return f"{self.partition}{lasting}/{self.ingress_id}"

    @classmethod
    def decode(cls, text: str) -> "ReplyAddress":
        """Inverse of `encode`.

        Raises:
            ValueError: the text is not of that form.
        """
        return _address(text)


@lru_cache(maxsize=256)
def _address(text: str) -> ReplyAddress:
    """An ingress has few, and each of its chunks bears one."""
    where, _, ingress_id = text.partition("/")
    partition, _, lasting = where.partition("+")
    return ReplyAddress(partition=int(partition), ingress_id=ingress_id, lasting=Lasting(lasting or Lasting.CONNECTION))


class Refusal(Value):
    """Why a request is not served, in the words its client will read."""

    status: Annotated[int, Field(ge=400, le=599)]
    message: str
    metadata: dict[str, str | int | float | bool | None] = empty(dict)
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
