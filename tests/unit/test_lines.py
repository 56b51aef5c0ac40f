"""Lines of requests that wait: in order, and nobody held up who needs nothing that an earlier one lacks."""

from hypothesis import given
from hypothesis import strategies as st

from services.rate_limit.core.waiting import Line, Waiter

MONEY, TOKENS = ("credit", "balance"), ("account", "tokens_per_day")
sizes = st.lists(st.integers(1, 10), max_size=30)


def _waiter(name: str, needs: frozenset[tuple[str, str]] = frozenset({MONEY}), until_ms: int = 100) -> Waiter[int]:
    return Waiter(name, needs, until_ms, 0)


@given(sizes, st.lists(st.integers(0, 12), max_size=30))
def test_nobody_overtakes(wanted: list[int], freed: list[int]) -> None:
    line: Line[int] = Line()
    for number, size in enumerate(wanted):
        line.join(Waiter(str(number), frozenset({MONEY}), 100, size), {MONEY})
    room, let_in = 0, list[int]()

    def lacks(waiter: Waiter[int]) -> frozenset[tuple[str, str]]:
        nonlocal room
        if waiter.item > room:
            return frozenset({MONEY})
        room -= waiter.item
        let_in.append(int(waiter.request_id))
        return frozenset()

    for amount in freed:
        room += amount
        assert line.move(lacks, 0) == []
    assert let_in == list(range(len(let_in)))
    assert len(line) == len(wanted) - len(let_in)
    room = 0
    assert [int(late.request_id) for late in line.move(lacks, 100)] == list(range(len(let_in), len(wanted)))
    assert len(line) == 0


def test_who_needs_something_else_is_not_held_up() -> None:
    line: Line[int] = Line()
    line.join(_waiter("1"), {MONEY})
    assert line.behind(frozenset({TOKENS})) == frozenset()
    assert line.behind(frozenset({TOKENS, MONEY})) == {MONEY}
    line.join(_waiter("2", frozenset({TOKENS})), {TOKENS})
    asked: list[str] = []

    def lacks(waiter: Waiter[int]) -> frozenset[tuple[str, str]]:
        asked.append(waiter.request_id)
        return frozenset({MONEY}) if waiter.request_id == "1" else frozenset()

    line.move(lacks, 0)
    assert asked == ["1", "2"]
    assert ("1" in line, "2" in line) == (True, False)
    assert line.behind(frozenset({TOKENS})) == frozenset()


def test_who_has_ended_leaves() -> None:
    line: Line[int] = Line()
    line.join(_waiter("1"), {MONEY})
    assert line.leave("2") is None
    assert line.leave("1") is not None
    assert len(line) == 0
