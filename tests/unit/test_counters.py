"""Counters beside plain sums; and calendars beside the standard library's."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.limits.catalog import METERS, MINUTE_MS, Window
from services.rate_limit.core.counters import Calendar, Counter, Sliding, Taken, counter_of
from tests.unit.records import NOW_MS

moves = st.lists(st.tuples(st.integers(0, 25_000), st.integers(1, 60), st.booleans()), min_size=1, max_size=60)


@given(moves)
def test_no_minute_ever_holds_more_than_was_let_in(steps: list[tuple[int, int, bool]]) -> None:
    counter, now, most = Sliding(), NOW_MS, 150
    counted: list[list[int]] = []
    running: list[tuple[Taken, list[int]]] = []
    for passed, amount, ends in steps:
        now += passed
        recent = sum(used for at_ms, used in counted if at_ms > now - MINUTE_MS)
        assert counter.used(now) == recent
        assert counter.returns(now) <= recent
        if recent + amount <= most:
            counted.append([now, amount])
            running.append((counter.take(now, amount), counted[-1]))
        else:
            wait_ms = counter.wait_ms(now, recent + amount - most)
            assert 0 < wait_ms <= MINUTE_MS
            left = sum(used for at_ms, used in counted if at_ms > now + wait_ms - MINUTE_MS)
            assert left + amount <= most, "a wait is as long as it says"
        if ends and running:
            taken, entry = running.pop(0)
            entry[1] //= 2
            counter.settle(taken, entry[1])
    for taken, _ in running:
        counter.settle(taken, 0)
    counter.forget(now + MINUTE_MS)
    assert counter.idle


@given(st.integers(0, 4_102_444_800_000), st.sampled_from([one for one in Window if one is not Window.MINUTE]))
def test_windows_are_those_of_the_calendar(at_ms: int, window: Window) -> None:
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    midnight = moment.replace(hour=0, minute=0, second=0)
    month = midnight.replace(day=1)
    start, end = {
        Window.HOUR: (moment.replace(minute=0, second=0), moment.replace(minute=0, second=0) + timedelta(hours=1)),
        Window.DAY: (midnight, midnight + timedelta(days=1)),
        Window.WEEK: (
            midnight - timedelta(days=midnight.weekday()),
            midnight - timedelta(days=midnight.weekday()) + timedelta(days=7),
        ),
        Window.MONTH: (month, (month + timedelta(days=32)).replace(day=1)),
    }[window]
    assert window.start_ms(at_ms) == start.timestamp() * 1000
    assert window.end_ms(at_ms) == end.timestamp() * 1000


def test_a_window_is_kept_while_a_request_of_it_may_come() -> None:
    counter = Calendar(Window.DAY)
    midnight_ms = Window.DAY.end_ms(NOW_MS)
    counter.settle(counter.take(midnight_ms - 1, 5), 3)
    counter.forget(midnight_ms + 59, 60)
    assert (counter.used(midnight_ms - 1), counter.used(midnight_ms)) == (3, 0)
    counter.forget(midnight_ms + 60, 60)
    assert counter.idle


def test_each_meter_has_a_counter_that_gives_back_what_was_not_used() -> None:
    for meter in METERS.values():
        counter: Counter = counter_of(meter)
        taken = counter.take(NOW_MS, 10)
        assert (counter.used(NOW_MS), counter.returns(NOW_MS)) == (10, 10), meter.name
        counter.settle(taken, 4)
        used = 4 if meter.window else 0
        assert (counter.used(NOW_MS), counter.returns(NOW_MS)) == (used, 0), meter.name
