"""Records that were fetched and that nobody has taken yet. Pure.

They are of the position at which their partition stood when they were asked for. Where it stands elsewhere by the time
that somebody comes for them, or is paused, they are dropped: what is on the log can be fetched again.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from aiokafka import TopicPartition

from libs.bus.records import Raw

S = TypeVar("S")
"""Where records came from."""


@dataclass(slots=True)
class _Waiting(Generic[S]):
    """Records of one partition."""

    raws: list[Raw]
    position: int
    """Where the partition stands while they wait."""
    next_position: int
    """Where it stands when all are taken."""
    source: S


class Taken(NamedTuple, Generic[S]):
    """What `Untaken.take` found."""

    records: dict[TopicPartition, list[Raw]]
    positions: dict[TopicPartition, int]
    """Where partitions of which something was taken go on."""
    emptied: set[S]
    """The sources of partitions of which nothing waits any more."""


class Untaken(Generic[S]):
    """By partition, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[TopicPartition, _Waiting[S]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def clear(self) -> None:
        """Drops all."""
        self._waiting.clear()

    def some_of(self, source: S) -> bool:
        """Records that came from there wait."""
        return any(waiting.source is source for waiting in self._waiting.values())

    def add(self, partition: TopicPartition, raws: list[Raw], position: int, next_position: int, source: S) -> None:
        """Keeps a partition's records, in place of older ones.

        Args:
            raws: perhaps none, where all that was fetched is no record of ours.
            position: at which they were asked for.
            next_position: the partition's, when all are taken.
        """
        self._waiting[partition] = _Waiting(raws, position, next_position, source)

    def take(
        self,
        standing: Callable[[TopicPartition], int | None],
        partitions: Collection[TopicPartition] = (),
        most: int | None = None,
    ) -> Taken[S]:
        """Gives records away, and drops those that are not due.

        Args:
            standing: a partition's present position; None: nothing of it is to be taken.
            partitions: of these; empty: of all.
            most: so many records at once; of a partition of which some are left the others come first next time.
        """
        taken: Taken[S] = Taken({}, {}, set())
        for partition, waiting in list(self._waiting.items()):
            if partitions and partition not in partitions:
                continue
            if most is not None and most <= 0:
                break
            raws = waiting.raws
            if standing(partition) != waiting.position:
                raws = []
            elif most is not None and len(raws) > most:
                taken.records[partition], waiting.raws = raws[:most], raws[most:]
                waiting.position = taken.positions[partition] = waiting.raws[0].offset
                break
            else:
                taken.positions[partition] = waiting.next_position
            del self._waiting[partition]
            taken.emptied.add(waiting.source)
            if raws:
                taken.records[partition] = raws
                if most is not None:
                    most -= len(raws)
        return taken
