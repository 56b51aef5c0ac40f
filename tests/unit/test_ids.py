"""IDs have the moment of the clock in them, also when it was set."""

import time

import pytest

from contracts.clock import now_ms
from libs.ids import made_at_ms, new_id

HOUR_S = 3600


def test_an_id_is_of_this_moment_after_a_clock_has_jumped_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    true_ns = time.time_ns
    for ahead_s in (0, HOUR_S, -HOUR_S, 0):
        monkeypatch.setattr(time, "time_ns", lambda ahead_s=ahead_s: true_ns() + ahead_s * 10**9)
        before, moment, after = now_ms(), made_at_ms(new_id()), now_ms()
        assert before <= moment <= after


def test_ids_of_one_moment_differ() -> None:
    assert len({str(new_id()) for _ in range(10_000)}) == 10_000
