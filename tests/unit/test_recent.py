"""What is remembered for a while, against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.recent import RecentIds


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.booleans()), max_size=60))
def test_an_id_is_remembered_until_it_was_told_long_enough_ago(steps: list[tuple[str, int, bool]]) -> None:
    recent, model, now_ms = RecentIds(), dict[str, int](), 0
    for name, passed_ms, forgets in steps:
        now_ms += passed_ms
        recent.add(name, now_ms)
        model[name] = now_ms
        if forgets:
            gone = {known for known, told_ms in model.items() if told_ms <= now_ms - 30}
            assert set(recent.forget(now_ms - 30)) == gone
            model = {known: told_ms for known, told_ms in model.items() if told_ms > now_ms - 30}
        assert {known for known in "abcdef" if known in recent} == model.keys()
        assert len(recent) == len(model)


def test_a_clock_that_went_back_makes_it_remember_longer_and_never_less() -> None:
    recent = RecentIds()
    recent.add("before", 100)
    recent.add("after", 50)
    recent.forget(60)
    assert "after" in recent
    recent.forget(101)
    assert len(recent) == 0
