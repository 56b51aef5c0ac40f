"""Breakers: when they open, whom they let through, and when they close."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.outcomes import OutcomesCounted
from libs.breakers import Health, Standing
from libs.config.gateway import Breaker
from tests.unit.records import NOW_MS

BREAKER = Breaker(failures=4, ratio=0.5, window_s=10, open_s=5)
REPORTS = st.lists(st.tuples(st.integers(0, 8_000), st.integers(0, 6), st.integers(0, 6)), max_size=40)
"""How long after the one before, how many answered, how many failed."""


def _told(answered: int, failed: int) -> OutcomesCounted:
    return OutcomesCounted(relay_id="r", provider_id="p", answered=answered, failed=failed, counted_at_ms=NOW_MS)


@given(REPORTS)
def test_a_breaker_does_what_a_plain_model_does(reports: list[tuple[int, int, int]]) -> None:
    health, now, opened, changes = Health(lambda: BREAKER), NOW_MS, None, []
    for later, answered, failed in reports:
        now += later
        health.note(_told(answered, failed), now)
        if not answered and not failed:
            continue
        changes.append((now, answered, failed))
        window = [one for one in changes if now - one[0] < 10_000]
        all_answered, all_failed = sum(one[1] for one in window), sum(one[2] for one in window)
        if opened is None:
            opened = now if all_failed >= max(4, all_answered) else None
        elif now - opened >= 5_000:
            opened, changes = (now, changes) if failed else (None, [])
        standing = health.standing("p", now)
        assert (standing >= Standing.FAILING) == (opened is not None)
        if standing is Standing.DOWN:
            assert answered == 0, "somebody answers"


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 3)), max_size=40))
def test_few_failures_open_nothing(reports: list[tuple[int, int]]) -> None:
    health, now = Health(lambda: BREAKER), NOW_MS
    for later, failed in reports:
        now += 10_000 + later
        health.note(_told(0, failed), now)
        assert health.standing("p", now) is Standing.WELL


def test_the_way_of_an_outage() -> None:
    health = Health(lambda: BREAKER)
    health.note(_told(20, 0), NOW_MS)
    health.note(_told(0, 10), NOW_MS + 1_000)
    assert health.standing("p", NOW_MS + 1_000) is Standing.WELL, "a third fails"
    health.note(_told(0, 10), NOW_MS + 2_000)
    assert health.standing("p", NOW_MS + 2_000) is Standing.FAILING, "half fails"
    assert health.half_open_in_ms("p", NOW_MS + 2_000) == 5_000
    health.note(_told(0, 4), NOW_MS + 11_500)
    assert health.standing("p", NOW_MS + 11_500) is Standing.DOWN, "nothing comes back"
    health.tried("p", NOW_MS + 16_500)
    assert health.half_open_in_ms("p", NOW_MS + 16_500) == 5_000
    health.note(_told(1, 0), NOW_MS + 17_000)
    assert health.standing("p", NOW_MS + 17_000) is Standing.WELL


def test_without_a_breaker_everybody_is_well() -> None:
    health = Health(lambda: None)
    health.note(_told(0, 1_000), NOW_MS)
    assert health.standing("p", NOW_MS) is Standing.WELL
    assert Health(lambda: BREAKER).standing("nobody", NOW_MS) is Standing.WELL
