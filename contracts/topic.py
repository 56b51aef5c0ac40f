"""What a topic is: a name, its records, and what of a record decides where it lies."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from .record import Record, ReplyAddress

R = TypeVar("R", bound=Record)

DLQ_SUFFIX = ".dlq"
DLQ_HEADER_BYTES = 64 * 1024
DAY_MS = 24 * 3600 * 1000


class Spread(Enum):
    """How many partitions a topic has."""

    KEYED = "keyed"
    """The deployment's partition count, the same for all keyed topics: joins rely on it."""
    REPLIES = "replies"
    """One for each ingress that may run."""
    SINGLE = "single"
    """One: a total order, or a small view that everybody reads whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Topic(Generic[R]):
    """A topic and its contract: the key and the partition are functions of the record."""

    name: str
    records: tuple[type[R], ...]
    key: Callable[[R], str]
    partition_by: Callable[[R], str] | None = None
    """What is hashed for the partition, where that is not the key."""
    partition: Callable[[R], int] | None = None
    """The partition itself, where the record names it."""
    reply_to: Callable[[R], ReplyAddress] | None = None
    """Where the client waits: a header, so that even a record that cannot be read is answered."""
    signed_by: str | None = None
    """The service whose signature each record bears; readers refuse what has none."""
    spread: Spread = Spread.KEYED
    compacted: bool = False
    retention_ms: int = DAY_MS
    """Where nothing is compacted."""
    forget_ms: int | None = None
    """A compacted topic's keys go when they were not written for so long; None: never."""
    max_record_bytes: int = 4 * 1024 * 1024

    @property
    def dead_letters(self) -> str:
        """The topic that takes what could not be handled."""
        return self.name + DLQ_SUFFIX

    @property
    def dead_letter_bytes(self) -> int:
        """The largest dead letter: the record, and the headers that are added to it."""
        return self.max_record_bytes + DLQ_HEADER_BYTES

    def __repr__(self) -> str:
        return f"Topic({self.name})"
