"""Requests to the broker: at once while there are few, bounded a second when there are many."""

import asyncio
from types import SimpleNamespace

from aiokafka.consumer.fetcher import Fetcher
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.pacing import Allowance

PER_S, BURST = 100.0, 8.0


def _used(gaps_s: list[float]) -> list[float]:
    """When each of some requests is used that are wanted so long after the one before it was."""
    allowance, now_s, used = Allowance(PER_S, BURST), 1_000.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        now_s += allowance.wait_s(now_s)
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
    allowance, now_s = Allowance(PER_S, BURST), 5.0
    for _ in range(1_000):
        assert allowance.wait_s(now_s) == 0
        allowance.take()
        now_s += 1.01 / PER_S
    used = _used([0.0] * 208)
    assert used[-1] - used[0] == 2.0 or abs(used[-1] - used[0] - 2.0) < 0.02


async def test_a_consumer_that_stops_while_its_fetch_waits_is_not_told_of_a_cancellation() -> None:
    spent = Allowance(0.001, 0.0)
    spent.wait_s(asyncio.get_running_loop().time())
    fetch = asyncio.ensure_future(Fetcher._proc_fetch_request(SimpleNamespace(sluice_allowance=spent)))
    await asyncio.sleep(0)
    fetch.cancel()
    assert await fetch is False
