"""What is asked again, when, and how clients say so."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.record import Refusal
from contracts.requests import MOST_RETRIES
from libs.chat.providers.errors import provider_refusal, timed_out, unreachable
from services.ingress.core.errors import BadRequest
from services.ingress.core.retries import retries
from services.relay.core.retrying import FIRST_S, MOST_S, again_s
from services.relay.core.turns import Turns
from tests.unit.records import accepted, route


def _refusal(status: int, **more: Any) -> Refusal:
    return provider_refusal(status, b"{}", provider_id="p", byok=False, **more)


def _again(refusal: Refusal, *, times: int = 2, run: bool = False, rounds: int = 1, **more: Any) -> float | None:
    request = accepted(retries=times, retries_run=run)
    return again_s(request, refusal, rounds=rounds, **({"drawn": 1.0, "left_s": 600.0} | more))


@pytest.mark.parametrize(
    ("refusal", "safe", "run"),
    [
        (_refusal(429), True, True),
        (_refusal(503), True, True),
        (unreachable("p"), True, True),
        (_refusal(500), False, True),
        (_refusal(502), False, True),
        (timed_out("p", "begin its answer in time"), False, True),
        (_refusal(400), False, False),
        (_refusal(401), False, False),
        (_refusal(402), False, False),
        (Refusal(status=503, message="The provider's key could not be opened"), False, True),
    ],
)
def test_what_a_provider_may_have_run_is_not_repeated_unasked(refusal: Refusal, safe: bool, run: bool) -> None:
    assert (_again(refusal) is not None) is safe
    assert (_again(refusal, run=True) is not None) is run
    assert _again(refusal, times=0, run=True) is None


def test_the_provider_s_own_time_is_waited_for() -> None:
    assert _again(_refusal(429, retry_after_s=7)) == 7 + FIRST_S
    assert _again(_refusal(429, retry_after_s=7), left_s=8.2) is None
    assert _again(_refusal(429, retry_after_s=7), left_s=8.25) == 7.25


def test_all_targets_have_their_turn_in_each_round() -> None:
    planned = route()
    one, two = (planned.targets[0].model_copy(update={"provider_id": name}) for name in ("one", "two"))
    turns = Turns(planned.model_copy(update={"targets": [one, two], "retries": 1}))
    waits = []
    for expected in (one, two, one, two):
        assert turns.next() == expected
        waits.append(turns.failed(expected, _refusal(429), drawn=0.5, left_s=600.0))
    assert waits == [0.0, FIRST_S / 2, 0.0, None]


@given(st.integers(1, MOST_RETRIES), st.floats(0, 1), st.floats(0, 600))
def test_the_wait_grows_is_bounded_and_ends_before_the_deadline(rounds: int, drawn: float, left_s: float) -> None:
    wait = _again(_refusal(429), times=MOST_RETRIES, rounds=rounds, drawn=drawn, left_s=left_s)
    if wait is not None:
        assert 0 <= wait <= min(MOST_S, FIRST_S * 2 ** (rounds - 1))
        assert wait < left_s
    assert _again(_refusal(429), times=rounds - 1, rounds=rounds) is None


@pytest.mark.parametrize(
    ("header", "found"),
    [(None, (1, False)), ("0", (0, False)), ("5", (5, False)), ("2, run", (2, True)), (" 3 ", (3, False))],
)
def test_a_client_says_how_often(header: str | None, found: tuple[int, bool]) -> None:
    assert retries({} if header is None else {"x-sluice-retries": header}, 1) == found


@pytest.mark.parametrize("header", ["", "6", "-1", "1.5", "two", "2, always", "9" * 5_000, "²"])
def test_other_words_are_refused(header: str) -> None:
    with pytest.raises(BadRequest):
        retries({"x-sluice-retries": header}, 0)
