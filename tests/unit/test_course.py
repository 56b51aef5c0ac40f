"""Of relays that write about one request at once, and err about who lives, exactly one is right, and all know who."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from contracts.attempts import Attempt, AttemptEnded, AttemptStarted
from contracts.replies import Outcome
from services.relay.core.course import Course
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, request_id, route

RELAYS = st.sampled_from(["relay-a", "relay-b", "relay-c"])


def _started(relay_id: str, call: int) -> AttemptStarted:
    return AttemptStarted(
        request_id=request_id(1), provider_id="stub", relay_id=relay_id, started_at_ms=NOW_MS, call=call
    )


def _ended(by: str, call: int, at_ms: int = NOW_MS) -> AttemptEnded:
    return attempt_ended(route(), Ending(Outcome.COMPLETED, body=by, call=call), at_ms)


def _course(records: list[Attempt]) -> Course:
    course = Course()
    for record in records:
        course.take(record)
    return course


CALLS = st.integers(0, 3)
RECORDS = st.lists(st.builds(_started, RELAYS, CALLS) | st.builds(_ended, RELAYS, CALLS), max_size=12)


@given(RECORDS, RECORDS)
def test_what_comes_later_changes_nothing_about_an_end(before: list[Attempt], after: list[Attempt]) -> None:
    first, later = _course(before), _course(before + after)
    if first.ended:
        assert (later.ended, later.started) == (first.ended, first.started)
    elif later.ended:
        assert later.ended.call >= first.call
    assert later.call >= first.call


@given(RECORDS, st.data())
def test_who_reads_a_part_of_it_twice_comes_to_the_same(records: list[Attempt], data: st.DataObject) -> None:
    again = records[: data.draw(st.integers(0, len(records)))]
    assert _course(again + records) == _course(records)


def test_an_end_of_an_earlier_call_is_refused() -> None:
    late, counted = _ended("a", 0), _ended("b", 1)
    records: list[Attempt] = [_started("relay-a", 0), _started("relay-b", 1), late, counted]
    assert _course(records[:3]).ended is None
    assert _course(records).ended == counted
    assert _course([records[0], late, records[1]]).ended == late
    assert not _course([records[0], late, records[1]]).runs("relay-b", 1), "nobody goes on with what has ended"


def test_of_two_that_go_on_with_it_the_first_does() -> None:
    course = _course([_started("relay-a", 0), _started("relay-b", 1), _started("relay-c", 1)])
    assert course.runs("relay-b", 1)
    assert not course.runs("relay-c", 1)


@dataclass
class _Relay:
    """As `services.relay` does it: look, start the next call, look whether it has it; end, look whether that counts."""

    relay_id: str
    log: list[Attempt]
    effects: list[AttemptEnded]
    calls: list[tuple[int, str]]
    call: int | None = None
    step: str = "idle"
    seen: Course = field(default_factory=Course)
    own: AttemptEnded | None = None

    def advance(self, number: int) -> None:
        """One step. Between two of them it may stand still for as long as it likes."""
        if self.step == "idle":
            self.seen = _course(self.log)
            self.step = "start" if self.seen.ended is None and self.seen.started is not None else "idle"
        elif self.step == "start":
            self.call = self.seen.call + 1
            self.log.append(_started(self.relay_id, self.call))
            self.step = "started"
        elif self.step == "started":
            assert self.call is not None
            self.step = "call" if _course(self.log).runs(self.relay_id, self.call) else "idle"
        elif self.step == "call":
            self.calls.append((self.call or 0, self.relay_id))
            self.step = "end"
        elif self.step == "end":
            self.own = _ended(self.relay_id, self.call or 0, NOW_MS + number)
            self.log.append(self.own)
            self.step = "ended"
        elif self.step == "ended":
            if counted := _course(self.log).ended:
                self.effects.append(counted)
            self.step = "done"


@given(st.lists(st.integers(0, 3), max_size=60))
def test_all_effects_of_a_request_are_those_of_one_end(turns: list[int]) -> None:
    log: list[Attempt] = [_started("relay-a", 0)]
    effects: list[AttemptEnded] = []
    calls: list[tuple[int, str]] = [(0, "relay-a")]
    relays = [_Relay(f"relay-{name}", log, effects, calls) for name in "abcd"]
    # It has begun the first call, and is taken for dead by all others.
    relays[0].call, relays[0].step = 0, "end"
    for number, turn in enumerate(turns):
        relays[turn].advance(number)
    assert len({one.encode() for one in effects}) <= 1
    assert len({call for call, _ in calls}) == len(calls), "no call is made by two"
    for relay in relays:
        while relay.step not in ("done", "idle"):
            relay.advance(len(turns))
    assert len({one.encode() for one in effects}) <= 1
