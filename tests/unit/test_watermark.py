"""What may be committed, against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.watermark import Watermark


@given(st.lists(st.tuples(st.sampled_from(["pass", "hold", "release"]), st.integers(0, 30)), max_size=80))
def test_commits_up_to_the_lowest_record_in_work(steps: list[tuple[str, int]]) -> None:
    watermark, position, held, next_offset = Watermark(0), 0, set[int](), 0
    for action, number in steps:
        if action == "release":
            watermark.release(number)
            held.discard(number)
        else:
            if action == "hold":
                watermark.hold(next_offset)
                held.add(next_offset)
            watermark.passed(next_offset)
            next_offset += 1
        position = next_offset
        assert watermark.committable == min([*held, position])


def test_releasing_twice_or_what_was_never_held_is_harmless() -> None:
    watermark = Watermark(5)
    watermark.release(7)
    watermark.hold(5)
    watermark.passed(5)
    watermark.release(5)
    watermark.release(5)
    assert watermark.committable == 6
