"""Who may do what on the cluster, as Kafka's authorizer has it. Pure: it follows from `contracts.services`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from contracts.services import OUTSIDE, SERVICES, ServiceSpec

PRINCIPAL = "sluice-"
"""Of a service's user name, which goes on with the service's own."""
EVERYBODY: tuple[ServiceSpec, ...] = (*SERVICES, *OUTSIDE)


class Resource(IntEnum):
    """Kafka's ResourceType."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """Kafka's AclOperation. Reading and writing let describe the resource, too; who may write may produce
    idempotently. Who may only describe a topic sees its offsets, and of a group its members and theirs.
    """

    READ = 3
    WRITE = 4
    DESCRIBE = 8


class Pattern(IntEnum):
    """Kafka's PatternType."""

    LITERAL = 3
    PREFIXED = 4


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A principal may do something with a resource; from any host."""

    user: str
    resource: Resource
    name: str
    operation: Operation
    pattern: Pattern = Pattern.LITERAL


def user_of(spec: ServiceSpec) -> str:
    """The name with which a service signs in."""
    return PRINCIPAL + spec.name


def entries(specs: Iterable[ServiceSpec] = EVERYBODY) -> list[Entry]:
    """All that these may do; what is not listed is refused."""
    return sorted({entry for spec in specs for entry in _entries(spec)})


def _entries(spec: ServiceSpec) -> Iterator[Entry]:
    user = user_of(spec)
    for topic in spec.reads:
        yield Entry(user, Resource.TOPIC, topic.name, Operation.READ)
        if not spec.outside:
            yield Entry(user, Resource.TOPIC, topic.dead_letters, Operation.WRITE)
    for topic in spec.counts:
        yield Entry(user, Resource.TOPIC, topic.dead_letters, Operation.DESCRIBE)
    for topic in spec.writes:
        yield Entry(user, Resource.TOPIC, topic.name, Operation.WRITE)
    for topic in spec.republishes:
        yield Entry(user, Resource.TOPIC, topic.name, Operation.WRITE)
        yield Entry(user, Resource.TOPIC, topic.dead_letters, Operation.READ)
    for group in spec.groups:
        # Whoever is outside has groups of their own, under names that begin with theirs.
        if group.family:
            yield Entry(user, Resource.GROUP, f"{group.name}.", Operation.READ, Pattern.PREFIXED)
            continue
        pattern = Pattern.PREFIXED if spec.outside else Pattern.LITERAL
        yield Entry(user, Resource.GROUP, group.name, Operation.READ, pattern)
    for topic in spec.watches:
        if topic not in spec.reads:
            yield Entry(user, Resource.TOPIC, topic.name, Operation.DESCRIBE)
    for group in spec.watches_groups:
        yield Entry(user, Resource.GROUP, group.name, Operation.DESCRIBE)
