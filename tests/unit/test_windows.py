"""The free-model window: never one too many, in whatever window one looks, and the same answer again."""

from hypothesis import given
from hypothesis import strategies as st

from services.rate_limit.core.windows import Limit, Window

LIMIT = Limit("free", 5, 1_000)
times = st.lists(st.integers(0, 5_000), max_size=120)


@given(times)
def test_no_window_ever_holds_more_than_the_limit(at: list[int]) -> None:
    window, admitted = Window(LIMIT), list[int]()
    clock = 0
    for offset, at_ms in enumerate(at):
        clock = max(clock, at_ms)
        if window.admit(at_ms=at_ms, offset=offset).admitted:
            admitted.append(max(at_ms, admitted[-1]) if admitted else at_ms)
    for start in admitted:
        assert sum(1 for moment in admitted if start <= moment < start + LIMIT.window_ms) <= LIMIT.count


@given(times)
def test_matches_a_plain_model(at: list[int]) -> None:
    window, model = Window(LIMIT), list[int]()
    for offset, at_ms in enumerate(at):
        now = max([at_ms, *model[-1:]])
        recent = [moment for moment in model if moment > now - LIMIT.window_ms]
        verdict = window.admit(at_ms=at_ms, offset=offset)
        assert verdict.admitted == (len(recent) < LIMIT.count)
        if verdict.admitted:
            model.append(now)


@given(times, st.data())
def test_a_redelivery_is_answered_as_it_was_and_counts_nothing(at: list[int], data: st.DataObject) -> None:
    window, answers = Window(LIMIT), dict[int, bool]()
    for offset, at_ms in enumerate(at):
        answers[offset] = window.admit(at_ms=at_ms, offset=offset).admitted
        before = window.admissions
        again = data.draw(st.integers(max(0, offset - 3), offset))
        verdict = window.admit(at_ms=at[again], offset=again)
        assert window.admissions == before
        if again in [one.offset for one in window.admissions] or not answers[again]:
            assert verdict.admitted == answers[again]


def test_refusal_says_when_one_more_fits() -> None:
    window = Window(LIMIT)
    for offset in range(LIMIT.count):
        assert window.admit(at_ms=100 * offset, offset=offset).admitted
    refused = window.admit(at_ms=450, offset=10)
    assert not refused.admitted
    assert refused.reset_ms == 550
    assert window.admit(at_ms=450 + 550, offset=11).admitted


def test_a_window_expires_with_its_last_admission() -> None:
    window = Window(LIMIT)
    window.admit(at_ms=0, offset=0)
    assert not window.expired(999)
    assert window.expired(1_000)
