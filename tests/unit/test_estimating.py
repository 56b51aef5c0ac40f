"""What is booked for an answer whose counts never came: no discount for leaving, and never more than was held."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.usage import TokenUsage
from services.relay.core.estimating import (
    DENSEST_BYTES,
    MARGIN,
    PACE,
    SLACK_TOKENS,
    SPARSEST_BYTES,
    Paces,
    from_text,
    may_have_billed,
    passes,
)
from tests.unit.records import accepted

counts = st.integers(0, 100_000)
REQUEST = accepted().model_copy(update={"input_tokens_most": 1_000, "output_tokens_most": 5_000})


@given(
    delivered=counts,
    worked_s=st.floats(0, 600),
    unseen=st.booleans(),
    pace=st.floats(1, 500),
    seen=st.none() | st.integers(0, 5_000),
)
def test_it_is_at_least_what_was_delivered_and_at_most_what_was_held(
    delivered: int, worked_s: float, unseen: bool, pace: float, seen: int | None
) -> None:
    known = None if seen is None else TokenUsage(input_tokens=700, output_tokens=seen)
    tokens, basis = may_have_billed(
        REQUEST, known, delivered_bytes=delivered, worked_s=worked_s, unseen=unseen, pace=pace
    )
    assert tokens.input_tokens == (700 if known else 1_000)
    assert tokens.output_tokens <= 5_000
    assert tokens.output_tokens >= min(-(-delivered // DENSEST_BYTES), 5_000)
    assert tokens.output_tokens >= (seen or 0)
    if unseen:
        assert tokens.output_tokens >= min(int(worked_s * pace), 5_000)
    assert basis == ("time" if unseen and int(worked_s * pace) > -(-delivered // DENSEST_BYTES) else "bounds")


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0.1, 100)), min_size=1, max_size=20))
def test_a_pace_stays_among_those_that_were_seen(answers: list[tuple[int, float]]) -> None:
    paces = Paces()
    assert paces.of("p", "m") == PACE
    for tokens, seconds in answers:
        paces.note("p", "m", tokens, seconds)
    seen = [tokens / seconds for tokens, seconds in answers]
    assert min(seen) * 0.999 <= paces.of("p", "m") <= max(seen) * 1.001
    assert paces.of("p", "other") == PACE


def test_an_answer_that_takes_no_time_says_nothing_of_the_pace() -> None:
    paces = Paces()
    paces.note("p", "m", 100, 0.0)
    paces.note("p", "m", 0, 5.0)
    assert paces.of("p", "m") == PACE


def test_an_answer_may_be_longer_than_its_limit_by_how_providers_count() -> None:
    most = 1_000
    allowed = int(most * MARGIN + SLACK_TOKENS)
    assert not passes(most, counted=allowed, delivered_bytes=allowed * SPARSEST_BYTES)
    assert passes(most, counted=allowed + 1, delivered_bytes=0)
    assert passes(most, counted=0, delivered_bytes=(allowed + 1) * SPARSEST_BYTES)


def test_the_usual_count_rounds_up_and_stays_below_what_the_model_can_read() -> None:
    request = accepted().model_copy(update={"prompt_bytes": 9, "input_tokens_most": 100})
    assert from_text(request, 1) == TokenUsage(input_tokens=3, output_tokens=1)
    assert from_text(request.model_copy(update={"prompt_bytes": 1_000}), 0).input_tokens == 100
