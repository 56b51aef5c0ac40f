"""Whoever writes requests cannot put one into an hour that has passed."""

import pytest

from libs.config.gateway import Timeouts
from services.rate_limit.core.timeliness import CLOCKS_MS, SHOWN_FOR_MS, OutOfTimeCount, in_time
from tests.unit.records import NOW_MS, accepted

LATE_MS = 15_000 + CLOCKS_MS


@pytest.mark.parametrize(
    ("now_ms", "changes", "good"),
    [
        (NOW_MS, {}, True),
        (NOW_MS + LATE_MS, {}, True),
        (NOW_MS + LATE_MS + 1, {}, False),
        (NOW_MS - CLOCKS_MS, {}, True),
        (NOW_MS - CLOCKS_MS - 1, {}, False),
        (NOW_MS + 3_600_000, {}, False),
        (NOW_MS, {"route_by_ms": NOW_MS + LATE_MS + 1}, False),
        (NOW_MS, {"deadline_ms": NOW_MS + 600_000 + CLOCKS_MS + 1}, False),
    ],
)
def test_the_times_of_a_request_are_those_of_now(now_ms: int, changes: dict[str, int], good: bool) -> None:
    assert in_time(accepted(**changes), Timeouts(), now_ms) is good


def test_an_operator_sees_that_a_clock_is_off_and_by_how_much() -> None:
    seen = OutOfTimeCount()
    assert seen.problem(NOW_MS) is None
    assert seen.add(accepted(), NOW_MS + 3_600_000), "the log has the first"
    assert not seen.add(accepted(), NOW_MS + 3_600_001), "and not each"
    problem = seen.problem(NOW_MS + 3_600_002)
    assert problem
    assert problem.startswith("2 requests were refused for their times, the last -3600 s from")
    assert seen.problem(NOW_MS + 3_600_001 + SHOWN_FOR_MS) is None
    assert seen.add(accepted(), NOW_MS + 3_600_001 + SHOWN_FOR_MS)
