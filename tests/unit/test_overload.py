"""Overload control against a simulated server: it serves so many a second, and what comes faster queues in it."""

import heapq
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.core.concurrency import TOLERANCE, AdaptiveLimit
from services.ingress.core.shares import LEAST_QUEUE, SPARE_PART, Place, Shares, State
from services.ingress.door import WAIT_S

QUIET_S = 0.02
CAPACITY = 600.0
"""Requests a second."""
PATIENCE_S = 1.0
LEAVES = "leaves its place, as if it waited for a provider"
EXPIRES = "has waited for a place for long enough"


@dataclass
class Simulation:
    """Arrivals at random, a server of one queue before `CAPACITY`, and the door before it."""

    limit: AdaptiveLimit = field(default_factory=AdaptiveLimit)
    burst_s: float = 0.0
    """Answers come together, so far apart: the log's batches."""
    delays_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: Counter[str] = field(default_factory=Counter)
    now_s: float = 0.0
    _free_at_s: float = 0.0
    _events: list[tuple[float, int, str, Place | None]] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(7)
        self.shares = Shares(lambda: self.limit.value, lambda _owner: 1.0)

    def run(self, rates: dict[str, float], seconds: float) -> None:
        """Owners send so many requests a second for a time."""
        until_s = self.now_s + seconds
        self._events = [event for event in self._events if event[3]]
        heapq.heapify(self._events)
        for owner, rate in rates.items():
            self._later(self.now_s + self.random.expovariate(rate), owner, None)
        while self._events and self._events[0][0] < until_s:
            self.now_s, _, owner, place = heapq.heappop(self._events)
            if place is None:
                self._later(self.now_s + self.random.expovariate(rates[owner]), owner, None)
                arrived = self.shares.arrive(owner, self.now_s)
                self.refused[owner] += arrived.state is State.REFUSED
                self._serve([arrived] if arrived.state is State.INSIDE else [])
                if arrived.state is State.WAITING:
                    self._later(self.now_s + WAIT_S, EXPIRES, arrived)
            elif owner == LEAVES:
                self._serve(self.shares.release(place))
            elif owner == EXPIRES:
                if place.state is State.WAITING:
                    self.refused[place.owner] += 1
                    self._serve(self.shares.release(place, State.REFUSED))
            else:
                delay_s = self.now_s - place.since_s
                self.delays_s[owner].append(delay_s)
                self.limit.sample(delay_s, self.shares.inside, self.now_s)
                self._serve(self.shares.release(place))
        self.now_s = until_s

    def _serve(self, places: list[Place]) -> None:
        for place in places:
            self._free_at_s = max(self._free_at_s, self.now_s) + 1 / CAPACITY
            ends_s = self._free_at_s + QUIET_S * self.random.uniform(0.8, 1.2)
            if self.burst_s:
                ends_s = math.ceil(ends_s / self.burst_s) * self.burst_s
            self._later(ends_s, place.owner, place)
            self._later(self.now_s + PATIENCE_S, LEAVES, place)

    def _later(self, at_s: float, owner: str, place: Place | None) -> None:
        self._number += 1
        heapq.heappush(self._events, (at_s, self._number, owner, place))

    def forget(self) -> None:
        """Begins to count anew."""
        self.delays_s.clear()
        self.refused.clear()

    def worst_s(self, owner: str, part: float = 0.99) -> float:
        """A percentile of an owner's delays."""
        ordered = sorted(self.delays_s[owner])
        return ordered[int(len(ordered) * part)]


def _learnt() -> Simulation:
    simulation = Simulation()
    simulation.run({"a": 0.3 * CAPACITY}, 5)
    return simulation


def test_what_the_server_can_do_is_not_refused() -> None:
    simulation = _learnt()
    simulation.run({"a": 0.85 * CAPACITY}, 20)
    assert simulation.refused.total() <= 0.001 * 20 * CAPACITY


@pytest.mark.parametrize("times", [1.5, 4, 10, 25])
def test_overload_costs_neither_throughput_nor_delay(times: float) -> None:
    simulation = _learnt()
    simulation.forget()
    simulation.run({"a": 0.8 * CAPACITY}, 10)
    usual_s = simulation.worst_s("a")
    simulation.run({"a": times * CAPACITY}, 2)
    simulation.forget()
    simulation.run({"a": times * CAPACITY}, 10)
    assert len(simulation.delays_s["a"]) >= 0.95 * 10 * CAPACITY
    assert simulation.worst_s("a") <= 1.3 * TOLERANCE * QUIET_S
    simulation.forget()
    simulation.run({"a": 0.5 * CAPACITY}, 1)
    simulation.forget()
    simulation.run({"a": 0.5 * CAPACITY}, 5)
    assert (simulation.refused["a"], simulation.worst_s("a") < 2 * usual_s) == (0, True)


def test_the_delay_is_bounded_from_the_first_moment_of_overload() -> None:
    simulation = _learnt()
    simulation.run({"a": 10 * CAPACITY}, 5)
    assert simulation.worst_s("a", 0.999) <= 1.1


def test_after_overload_and_quiet_a_burst_finds_room_again() -> None:
    simulation = _learnt()
    simulation.run({"a": 10 * CAPACITY}, 5)
    assert simulation.limit.value < 200
    simulation.run({"a": 0.1 * CAPACITY}, 60)
    assert simulation.limit.value > 400


def test_overload_that_is_there_from_the_beginning_is_not_taken_for_quiet() -> None:
    simulation = Simulation()
    simulation.run({"a": 10 * CAPACITY}, 30)
    simulation.forget()
    simulation.run({"a": 10 * CAPACITY}, 10)
    assert simulation.worst_s("a") < 1


@pytest.mark.parametrize("burst_s", [0.0, 0.1])
def test_a_modest_tenant_hardly_notices_a_greedy_one(burst_s: float) -> None:
    simulation = _learnt()
    simulation.burst_s = burst_s
    simulation.run({"greedy": 10 * CAPACITY, "modest": 0.1 * CAPACITY}, 3)
    simulation.forget()
    simulation.run({"greedy": 10 * CAPACITY, "modest": 0.1 * CAPACITY}, 20)
    assert simulation.refused["modest"] <= 0.01 * len(simulation.delays_s["modest"])
    assert simulation.worst_s("modest", 0.95) <= 1.5 * simulation.worst_s("greedy", 0.5) + burst_s
    assert simulation.refused["greedy"] > 5 * len(simulation.delays_s["greedy"])


@pytest.mark.parametrize("quiet_s", [0.02, 0.05])
def test_a_modest_tenant_of_a_slow_server_has_its_share_at_once(
    quiet_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is small, and a free place is long in coming."""
    monkeypatch.setattr(f"{__name__}.CAPACITY", 150.0)
    monkeypatch.setattr(f"{__name__}.QUIET_S", quiet_s)
    simulation = _learnt()
    simulation.burst_s = 0.1
    simulation.run({"greedy": 1_500, "modest": 15}, 3)
    simulation.forget()
    simulation.run({"greedy": 1_500, "modest": 15}, 20)
    asked = simulation.refused["modest"] + len(simulation.delays_s["modest"])
    assert simulation.refused["modest"] <= 0.05 * asked


def test_who_has_little_comes_in_while_what_a_greedy_one_has_is_above_a_limit_that_shrank() -> None:
    limit = 400
    shares = Shares(lambda: limit, {"greedy": 1.0, "modest": 3.0}.__getitem__)
    inside = [shares.arrive("greedy", 0.0) for _ in range(limit)]
    limit = 100
    arrived = [shares.arrive("modest", 1.0) for _ in range(int(limit * SPARE_PART) + 1)]
    assert [place.state is State.INSIDE for place in arrived] == [True] * int(limit * SPARE_PART) + [False]
    assert shares.arrive("greedy", 1.0).state is State.REFUSED
    assert shares.release(arrived[0]) == [arrived[-1]], "the place is spare again"
    for place in (*inside, *arrived):
        shares.release(place)
    assert shares.inside == 0


def test_a_server_that_gets_slower_gets_less() -> None:
    limit, now_s = AdaptiveLimit(), 0.0
    for delay_s, least, most in ((0.02, 64, 10_000), (0.4, 32, 40), (0.02, 64, 10_000)):
        for _ in range(4_000):
            now_s += 0.01
            limit.sample(delay_s, limit.value, now_s)
        assert least <= limit.value <= most


@given(
    weights=st.tuples(*[st.sampled_from([0.5, 1.0, 2.0])] * 3),
    limit=st.integers(1, 20),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=200),
)
def test_places_are_counted_right_and_the_neediest_comes_first(
    weights: tuple[float, float, float], limit: int, steps: list[tuple[int, int]]
) -> None:
    shares, places = Shares(lambda: limit, lambda owner: weights[int(owner)]), list[Place]()
    for now, (owner, what) in enumerate(steps):
        mine = [place for place in places if place.owner == str(owner)]
        if what <= 1:
            would = shares.refuses(str(owner))
            place = shares.arrive(str(owner), now)
            assert (place.state is State.REFUSED) == would
            has = sum(one.state in (State.INSIDE, State.WAITING) for one in mine)
            present = {one.owner for one in places if one.state in (State.INSIDE, State.WAITING)} | {str(owner)}
            share = limit * weights[owner] / sum(weights[int(one)] for one in present)
            # Who has less than its share comes in, or waits.
            assert place.state is not State.REFUSED or has >= share or shares.waiting >= LEAST_QUEUE
            places.append(place)
        elif what == 2 and (inside := [place for place in mine if place.state is State.INSIDE]):
            waiting = {place.owner for place in places if place.state is State.WAITING}
            left = inside[0]
            counts = Counter(place.owner for place in places if place.state is State.INSIDE)
            counts[left.owner] -= 1
            for come in shares.release(left):
                assert counts[come.owner] / weights[int(come.owner)] == min(
                    counts[one] / weights[int(one)] for one in waiting
                )
            shares.release(left)
        elif what == 3 and (waiting_ := [place for place in mine if place.state is State.WAITING]):
            shares.release(waiting_[-1], State.REFUSED)
        states = Counter(place.state for place in places)
        assert (shares.inside, shares.waiting) == (states[State.INSIDE], states[State.WAITING])
        assert shares.inside <= limit + int(limit * SPARE_PART)
        # Nobody waits while there is room.
        assert not shares.waiting or shares.inside >= limit
