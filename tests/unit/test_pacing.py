"""Requests to the broker: at once while there are few, bounded a second when there are many."""

import asyncio
from math import exp
from types import SimpleNamespace

from aiokafka.consumer.fetcher import Fetcher
from hypothesis import given
from hypothesis import strategies as st
from pytest import MonkeyPatch, approx

from libs.bus import pacing
from libs.bus.pacing import (
    QUIET_REQUESTS_PER_S,
    REMEMBERED_S,
    REQUESTS_PER_S,
    Allowance,
    Rate,
    count_records,
)

PER_S, BURST = 100.0, 8.0


def _used(gaps_s: list[float]) -> list[float]:
    """When each of some requests is used that are wanted so long after the one before it was."""
    allowance, now_s, used = Allowance(BURST), 1_000.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        now_s += allowance.wait_s(now_s, PER_S)
        allowance.take()
        used.append(now_s)
    return used


@given(st.lists(st.floats(0, 0.1), min_size=1, max_size=200))
def test_no_stretch_of_time_has_more_than_the_burst_and_the_rate(gaps_s: list[float]) -> None:
    used = _used(gaps_s)
    for first in range(len(used)):
        for last in range(first, len(used)):
            most = BURST + 1 + (used[last] - used[first]) * PER_S
            assert last - first + 1 <= most + 1e-3


def test_who_asks_seldom_never_waits_and_who_asks_all_the_time_gets_the_rate() -> None:
    allowance, now_s = Allowance(BURST), 5.0
    for _ in range(1_000):
        assert allowance.wait_s(now_s, PER_S) == 0
        allowance.take()
        now_s += 1.01 / PER_S
    used = _used([0.0] * 208)
    assert used[-1] - used[0] == 2.0 or abs(used[-1] - used[0] - 2.0) < 0.02


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500)), max_size=50))
def test_a_rate_is_what_has_come_of_late(steps: list[tuple[float, int]]) -> None:
    rate, now_s, came = Rate(), 100.0, []
    for gap_s, count in steps:
        now_s += gap_s
        rate.add(count, now_s)
        came.append((now_s, count))
    expected = sum(count / REMEMBERED_S * exp((at_s - now_s) / REMEMBERED_S) for at_s, count in came)
    assert rate.per_s(now_s) == approx(expected)


def test_a_steady_rate_is_found_and_forgotten() -> None:
    rate = Rate()
    for number in range(4_000):
        rate.add(1, 5.0 + number / 1_000)
    assert rate.per_s(9.0) == approx(1_000, rel=0.01)
    assert rate.per_s(9.0 + 10 * REMEMBERED_S) < 1


async def test_who_is_alone_does_not_wait_and_who_is_busy_does(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_RECORDS", Rate())
    spent = Allowance(0.0)
    pacing._wait_s(spent)
    assert pacing._wait_s(spent) == approx(1 / QUIET_REQUESTS_PER_S, rel=0.1)
    count_records(100_000)
    assert pacing._wait_s(spent) == approx(1 / REQUESTS_PER_S, rel=0.1)


async def test_a_consumer_that_stops_while_its_fetch_waits_is_not_told_of_a_cancellation() -> None:
    spent = Allowance(0.0)
    pacing._wait_s(spent)
    fetch = asyncio.ensure_future(Fetcher._proc_fetch_request(SimpleNamespace(sluice_allowance=spent)))
    await asyncio.sleep(0)
    fetch.cancel()
    assert await fetch is False
