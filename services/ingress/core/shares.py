"""Who comes in next when not all can: places by owner, in proportion to weights, with a short queue. Pure.

While there is room everybody comes in. When there is none, an owner with its fair share of the places inside is refused
at once. Who has less than half of it takes a spare place: answers come in batches, so that a place may get free too
late for who can wait but a moment. Others wait, and a place that gets free goes to who has the least inside by its
weight. So who asks for little hardly waits, however much others ask for.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

SPARE_PART = 0.25
"""Of the limit: so many places more there are for owners who have little of their share."""
LITTLE = 0.5
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

    def refuses(self, owner: str) -> bool:
        """True if a request would be refused at once."""
        limit = self._limit()
        if self._has_room(owner, limit):
            return False
        return self.waiting >= max(LEAST_QUEUE, int(limit * QUEUE_PART)) or self._has_share(owner, limit)

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
        place.state = state
        if not found.inside and not found.waiting:
            del self._owners[place.owner]
            self._weights = self._weights - found.weight if self._owners else 0.0
        return self._admit_waiting()

    def _has_room(self, owner: str, limit: int) -> bool:
        if self.inside < limit:
            return not self.waiting
        if self.inside >= limit + int(limit * SPARE_PART):
            return False
        found = self._owners.get(owner)
        weight = found.weight if found else self._weight_of(owner)
        weights = self._weights if found else self._weights + weight
        return (found.inside + len(found.waiting) if found else 0) < LITTLE * limit * weight / weights

    def _has_share(self, owner: str, limit: int) -> bool:
        found = self._owners.get(owner)
        return found is not None and found.inside + len(found.waiting) >= limit * found.weight / self._weights

    def _admit_waiting(self) -> list[Place]:
        admitted: list[Place] = []
        while self.waiting and self.inside < self._limit():
            waiting = (owner for owner in self._owners.values() if owner.waiting)
            neediest = min(waiting, key=lambda owner: (owner.inside / owner.weight, owner.waiting[0].since_s))
            place = neediest.waiting.popleft()
            self.waiting -= 1
            self._let_in(neediest, place)
            admitted.append(place)
        return admitted

    def _let_in(self, owner: _Owner, place: Place) -> None:
        place.state = State.INSIDE
        owner.inside += 1
        self.inside += 1
