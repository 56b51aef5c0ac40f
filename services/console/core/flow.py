"""The way of requests as a drawing: where services stand, what runs between them, and what two readings say. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts import topics
from contracts.services import (
    KEY_VAULT_GROUP,
    METERING_GROUP,
    POLICY_GROUP,
    RATE_LIMIT_GROUP,
    RELAY_GROUP,
    ROUTER_GROUP,
)
from libs.bus.progress import GroupProgress, Reading

WIDTH, HEIGHT = 960, 312
BOX_WIDTH, BOX_HEIGHT = 124, 64
MOST_DOTS = 8
"""Of one way in one second; its figure says how many there were."""

_PLACES = {
    "clients": (4, 124),
    "ingress": (194, 124),
    "policy": (388, 12),
    "rate-limit": (388, 124),
    "key-vault": (388, 236),
    "router": (582, 124),
    "relay": (776, 124),
    "providers": (830, 12),
    "metering": (776, 236),
}
_GROUPS = {
    "policy": POLICY_GROUP.name,
    "rate-limit": RATE_LIMIT_GROUP.name,
    "key-vault": KEY_VAULT_GROUP.name,
    "router": ROUTER_GROUP.name,
    "relay": RELAY_GROUP.name,
    "metering": METERING_GROUP.name,
}
_WAYS = (
    ("clients", "ingress", topics.REQUESTS.name),
    ("ingress", "policy", topics.REQUESTS.name),
    ("ingress", "rate-limit", topics.REQUESTS.name),
    ("ingress", "key-vault", topics.REQUESTS.name),
    ("policy", "router", topics.POLICY_DECISIONS.name),
    ("rate-limit", "router", topics.QUOTA_DECISIONS.name),
    ("key-vault", "router", topics.CREDENTIAL_GRANTS.name),
    ("router", "relay", topics.ROUTES.name),
    ("relay", "providers", topics.ROUTES.name),
    ("relay", "metering", topics.USAGE.name),
)


@dataclass(frozen=True, slots=True)
class Station:
    """A service, and how it is."""

    name: str
    x: int
    y: int
    state: str
    """``works``, ``moves`` (its partitions change hands), ``waits`` (a queue), ``away``; empty: not known."""
    queue: int | None
    members: int | None

    @property
    def center(self) -> tuple[int, int]:
        """Of its box."""
        return self.x + BOX_WIDTH // 2, self.y + BOX_HEIGHT // 2


@dataclass(frozen=True, slots=True)
class Way:
    """What ran from one service to another."""

    origin: str
    target: str
    topic: str
    per_s: float
    path: str
    """Of a drawing."""
    begins: list[float]
    """When each dot starts, in seconds."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A drawing's content."""

    stations: list[Station]
    ways: list[Way]
    per_s: Mapping[str, float]
    """Records of each topic."""
    width: int = WIDTH
    height: int = HEIGHT
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def flow(before: Reading | None, after: Reading) -> Flow:
    """What happened between two readings; with the first alone nothing moves."""
    seconds = max(0.001, after.at_s - before.at_s) if before else 1.0
    grown = {name: max(0, end - before.ends.get(name, end)) if before else 0 for name, end in after.ends.items()}
    stations = {name: _station(name, after.groups) for name in _PLACES}
    return Flow(
        stations=list(stations.values()),
        ways=[
            Way(
                origin,
                target,
                topic,
                grown.get(topic, 0) / seconds,
                _path(stations[origin], stations[target]),
                _begins(grown.get(topic, 0)),
            )
            for origin, target, topic in _WAYS
        ],
        per_s={name: count / seconds for name, count in grown.items()},
    )


def _station(name: str, groups: Mapping[str, GroupProgress]) -> Station:
    x, y = _PLACES[name]
    group = groups.get(_GROUPS.get(name, ""))
    if group is None:
        return Station(name, x, y, "", None, None)
    return Station(name, x, y, _state(group), group.lag, group.members)


WAITING = 100
"""Records; below, they are on their way."""


def _state(group: GroupProgress) -> str:
    if not group.members:
        return "away"
    if group.state != "Stable":
        return "moves"
    return "waits" if group.lag >= WAITING else "works"


def _path(origin: Station, target: Station) -> str:
    """From edge to edge: to the right, or else straight up or down."""
    if target.x > origin.x + BOX_WIDTH:
        (x1, y1), (x2, y2) = (origin.x + BOX_WIDTH, origin.center[1]), (target.x, target.center[1])
        middle = (x1 + x2) // 2
        return f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    down = target.y > origin.y
    y1, y2 = (origin.y + BOX_HEIGHT, target.y) if down else (origin.y, target.y + BOX_HEIGHT)
    return f"M{origin.center[0]} {y1} L{target.center[0]} {y2}"


def _begins(count: int) -> list[float]:
    dots = min(count, MOST_DOTS)
    return [round(number / dots * 0.6, 2) for number in range(dots)]
