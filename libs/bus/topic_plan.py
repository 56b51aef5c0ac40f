"""What is between the topics that a cluster has and those that the contracts want. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Shape:
    """A topic as a cluster has it, or as it should be."""

    name: str
    partitions: int
    replication: int
    configuration: Mapping[str, str] = field(default_factory=dict)


class Kind(StrEnum):
    """What a change is."""

    CREATE = "create"
    SET = "set"
    IMPOSSIBLE = "impossible"
    """Nothing that may be done to a topic with records in it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    kind: Kind
    topic: str
    what: str
    """``partitions``, ``replication``, or the name of a setting."""
    found: str
    wanted: str


def plan(wanted: Iterable[Shape], found: Mapping[str, Shape]) -> Iterator[Change]:
    """What is to be done, topic by topic. Topics and settings that nobody wants are left alone.

    The count of partitions is fixed for the life of a deployment: a subject's history stays in its partition, and joins
    rely on equal counts. Replicas are moved by Kafka's own tools, which know how much the cluster can take.
    """
    for shape in wanted:
        there = found.get(shape.name)
        if there is None:
            yield Change(Kind.CREATE, shape.name, "partitions", "", str(shape.partitions))
            yield Change(Kind.CREATE, shape.name, "replication", "", str(shape.replication))
            for name, value in sorted(shape.configuration.items()):
                yield Change(Kind.CREATE, shape.name, name, "", value)
            continue
        for what, has, should in (
            ("partitions", there.partitions, shape.partitions),
            ("replication", there.replication, shape.replication),
        ):
            if has != should:
                yield Change(Kind.IMPOSSIBLE, shape.name, what, str(has), str(should))
        for name, value in sorted(shape.configuration.items()):
            if there.configuration.get(name) != value:
                yield Change(Kind.SET, shape.name, name, there.configuration.get(name, ""), value)
