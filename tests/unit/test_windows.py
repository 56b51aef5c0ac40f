"""The free-model window: never one too many, in whatever window one looks, and the same answer again."""

from hypothesis import given
from hypothesis import strategies as st

from services.rate_limit.core.windows import Limit, Window, admit, expired

LIMIT = Limit("free", 5, 1_000)
times = st.lists(st.integers(0, 5_000), max_size=120)


@given(times)
def test_no_window_ever_holds_more_than_the_limit(at: list[int]) -> None:
    window, admitted = Window(), list[int]()
    clock = 0
    for offset, at_ms in enumerate(at):
        clock = max(clock, at_ms)
        if admit(window, LIMIT, at_ms=at_ms, offset=offset).admitted:
            admitted.append(max(at_ms, admitted[-1]) if admitted else at_ms)
    for start in admitted:
        assert sum(1 for moment in admitted if start <= moment < start + LIMIT.window_ms) <= LIMIT.count


@given(times)
def test_matches_a_plain_model(at: list[int]) -> None:
    window, model = Window(), list[int]()
    for offset, at_ms in enumerate(at):
        now = max([at_ms, *model[-1:]])
        recent = [moment for moment in model if moment > now - LIMIT.window_ms]
        verdict = admit(window, LIMIT, at_ms=at_ms, offset=offset)
        assert verdict.admitted == (len(recent) < LIMIT.count)
        if verdict.admitted:
            model.append(now)


@given(times, st.data())
def test_a_redelivery_is_answered_as_it_was_and_counts_nothing(at: list[int], data: st.DataObject) -> None:
    window, answers = Window(), dict[int, bool]()
    for offset, at_ms in enumerate(at):
        answers[offset] = admit(window, LIMIT, at_ms=at_ms, offset=offset).admitted
        before = list(window.times_ms)
        again = data.draw(st.integers(max(0, offset - 3), offset))
        verdict = admit(window, LIMIT, at_ms=at[again], offset=again)
        assert list(window.times_ms) == before
        if again in window.offsets or not answers[again]:
            assert verdict.admitted == answers[again]


def test_refusal_says_when_one_more_fits() -> None:
    window = Window()
    for offset in range(LIMIT.count):
        assert admit(window, LIMIT, at_ms=100 * offset, offset=offset).admitted
    refused = admit(window, LIMIT, at_ms=450, offset=10)
    assert not refused.admitted
    assert refused.reset_ms == 550
    assert admit(window, LIMIT, at_ms=450 + 550, offset=11).admitted


def test_a_window_expires_with_its_last_admission() -> None:
    window = Window()
    admit(window, LIMIT, at_ms=0, offset=0)
    assert not expired(window, LIMIT, 999)
    assert expired(window, LIMIT, 1_000)
