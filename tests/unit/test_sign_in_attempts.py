"""How often an address may fail to sign in."""

from hypothesis import given
from hypothesis import strategies as st

from services.console.core.attempts import MOST_ADDRESSES, MOST_FAILURES, WINDOW_S, SignInAttempts

FAILURES = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30)), max_size=80)


@given(FAILURES)
def test_as_a_plain_count_of_each_address_s_windows(failures: list[tuple[str, float]]) -> None:
    attempts, now = SignInAttempts(), 0.0
    begun: dict[str, float] = {}
    count: dict[str, int] = {}
    for address, later in failures:
        now += later
        over = now - begun.get(address, -WINDOW_S) >= WINDOW_S
        assert attempts.allowed(address, now) is (over or count.get(address, 0) < MOST_FAILURES)
        if over:
            begun[address], count[address] = now, 0
        count[address] += 1
        attempts.failed(address, now)


def test_memory_is_bounded() -> None:
    attempts = SignInAttempts()
    for number in range(MOST_ADDRESSES + 10):
        attempts.failed(str(number), 0.0)
    assert len(attempts) == MOST_ADDRESSES
