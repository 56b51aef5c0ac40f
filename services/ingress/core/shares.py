"""Who comes in next when not all can: places by owner, in proportion to weights, with a short queue. Pure.

While there is room everybody comes in. When there is none, an owner with its fair share of the places inside is refused
at once. Who has less than that takes a spare place: answers come in batches, so that a place may get free too
late for who can wait but a moment; and after the limit has shrunk others may long be inside beyond it. Others wait, and
a place that gets free goes to who has the least inside by its weight. So who asks for little hardly waits, however much
others ask for.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

SPARE_PART = 0.5
"""Of the limit: so many places more there are for owners who have less than their share."""
QUEUE_PART = 0.25
"""Of the limit: how many may wait."""
LEAST_QUEUE = 8


class State(Enum):
    """Where a request stands."""

    WAITING = "waiting"
    INSIDE = "inside"
    REFUSED = "refused"
    LEFT = "left"


@dataclass(eq=False, slots=True)
class Place:
    """One request's."""

    owner: str
    since_s: float
    state: State = State.REFUSED
    spare: bool = False
    """One of the places beyond the limit."""


@dataclass(slots=True)
class _Owner:
    weight: float
    inside: int = 0
    waiting: deque[Place] = field(default_factory=deque)


class Shares:
    """The places of one ingress."""

    def __init__(self, limit: Callable[[], int], weight_of: Callable[[str], float]) -> None:
        """
        Args:
            limit: how many may be inside now.
            weight_of: an owner's; shares are in proportion.
        """
        self._limit = limit
        self._weight_of = weight_of
        self._owners: dict[str, _Owner] = {}
        self._weights = 0.0
        """Of all who are inside or wait."""
        self.inside = 0
        self.waiting = 0
        self._spare = 0
        """Spare places that are taken. Where the limit has shrunk, others may be inside beyond it, which is not for who
        has less than its share to wait for."""

    def refuses(self, owner: str, *, coming: int = 0, of_owner: int = 0) -> bool:
        """True if a request would be refused at once.

        Args:
            coming: how many are on their way, and will take a place or wait for one.
            of_owner: of them the owner's.
        """
        limit = self._limit()
        if self._has_room(owner, limit, coming, of_owner):
            return False
        return self.waiting >= max(LEAST_QUEUE, int(limit * QUEUE_PART)) or self._has_share(owner, limit, of_owner)

    def alone(self, owner: str) -> bool:
        """True if no other owner is inside or waits."""
        return len(self._owners) - (owner in self._owners) == 0

    def arrive(self, owner: str, now_s: float) -> Place:
        """A request wants in: its place is INSIDE, WAITING or REFUSED."""
        place = Place(owner, now_s)
        if self.refuses(owner):
            return place
        room = self._has_room(owner, self._limit())
        found = self._owners.get(owner)
        if found is None:
            found = self._owners[owner] = _Owner(self._weight_of(owner))
            self._weights += found.weight
        if room:
            self._let_in(found, place)
        else:
            place.state = State.WAITING
            found.waiting.append(place)
            self.waiting += 1
        return place

    def release(self, place: Place, state: State = State.LEFT) -> list[Place]:
        """A place is not needed any more; returns who comes in for it. Releasing it twice does nothing."""
        found = self._owners.get(place.owner)
        if found is None or place.state not in (State.INSIDE, State.WAITING):
            return []
        if place.state is State.WAITING:
            found.waiting.remove(place)
            self.waiting -= 1
        else:
            found.inside -= 1
            self.inside -= 1
            self._spare -= place.spare
        place.state = state
        if not found.inside and not found.waiting:
            del self._owners[place.owner]
            self._weights = self._weights - found.weight if self._owners else 0.0
        return self._admit_waiting()

    def _has_room(self, owner: str, limit: int, coming: int = 0, of_owner: int = 0) -> bool:
        if self.inside + coming < limit:
            return not self.waiting
        has, share = self._part_of(owner)
        return self._is_spared(has + of_owner, share, limit, coming)

    def _has_share(self, owner: str, limit: int, of_owner: int) -> bool:
        has, share = self._part_of(owner)
        return has + of_owner >= limit * share

    def _part_of(self, owner: str) -> tuple[int, float]:
        """How many an owner has inside and waiting, and its share of the limit."""
        found = self._owners.get(owner)
        if found:
            return found.inside + len(found.waiting), found.weight / self._weights
        weight = self._weight_of(owner)
        return 0, weight / (self._weights + weight)

    def _is_spared(self, has: int, share: float, limit: int, coming: int = 0) -> bool:
        """Who has so many takes a spare place."""
        return self._spare + coming < int(limit * SPARE_PART) and has < limit * share

    def _admit_waiting(self) -> list[Place]:
        admitted: list[Place] = []
        limit = self._limit()
        while self.waiting:
            waiting = (owner for owner in self._owners.values() if owner.waiting)
            neediest = min(waiting, key=lambda owner: (owner.inside / owner.weight, owner.waiting[0].since_s))
            if self.inside >= limit and not self._is_spared(neediest.inside, neediest.weight / self._weights, limit):
                break
            place = neediest.waiting.popleft()
            self.waiting -= 1
            self._let_in(neediest, place)
            admitted.append(place)
        return admitted

    def _let_in(self, owner: _Owner, place: Place) -> None:
        place.state = State.INSIDE
        place.spare = self.inside >= self._limit()
        self._spare += place.spare
        owner.inside += 1
        self.inside += 1
