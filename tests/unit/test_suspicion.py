"""Who is to blame for a failure: the record, or its handler."""

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.suspicion import FEW, Suspicion


class Topic:
    """One topic under a handler, in rounds, as `Turn` does it."""

    def __init__(self) -> None:
        self.rule: Suspicion[int] = Suspicion()
        self.processed: list[int] = []
        self.poison: list[int] = []
        self.kept: list[int] = []
        self.calls = 0

    def round(self, fresh: list[int], fails: "set[int] | None") -> None:
        """Args:
        fails: the records on which the handler fails; None: on all.
        """
        untried: list[int] = []
        for record in [*self.kept, *fresh]:
            if not self.rule.tries:
                untried.append(record)
                continue
            self.calls += 1
            if fails is None or record in fails:
                self.rule.failed(record)
            else:
                self.poison += self.rule.succeeded()
                self.processed.append(record)
        poison, self.kept = self.rule.ends(untried)
        self.poison += poison


BATCHES = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12)


@given(BATCHES, st.sets(st.integers(0, 400), max_size=200))
def test_each_record_is_processed_in_order_or_poison_or_kept(batches: list[tuple[int, bool]], bad: set[int]) -> None:
    topic, first = Topic(), 0
    for size, broken in batches:
        topic.round(list(range(first, first + size)), None if broken else bad)
        first += size
        assert sorted([*topic.processed, *topic.poison, *topic.kept]) == list(range(first))
        assert topic.processed == sorted(topic.processed)
        assert topic.kept == sorted(topic.kept)
        assert bool(topic.kept) == bool(topic.rule.rounds)


@given(st.lists(st.integers(0, 40), max_size=12))
def test_a_handler_that_fails_on_everything_buries_next_to_nothing(sizes: list[int]) -> None:
    topic, first = Topic(), 0
    for size in sizes:
        topic.round(list(range(first, first + size)), None)
        first += size
    assert len(topic.poison) < FEW
    topic.round([], set())
    assert sorted([*topic.processed, *topic.poison]) == list(range(first)), "repaired, it has all of the rest"


@given(st.integers(1, 300), st.sets(st.integers(0, 299)))
def test_poison_is_found_wherever_it_lies_as_soon_as_another_succeeds(size: int, bad: set[int]) -> None:
    topic = Topic()
    topic.round(list(range(size)), bad)
    for number in range(20):
        topic.round([1_000 + number], bad)
        if not topic.kept:
            break
    assert topic.kept == []
    assert set(topic.poison) == {record for record in bad if record < size}


def test_what_a_broken_handler_costs() -> None:
    topic = Topic()
    topic.round(list(range(500)), None)
    assert topic.calls == FEW
    for _ in range(4):
        topic.round([], None)
    assert topic.calls == FEW * (1 + 2 + 4 + 8 + 16)
    assert topic.kept == list(range(500))


def test_three_alone_in_a_row_are_no_accident_but_two_are() -> None:
    topic = Topic()
    topic.round([0], {0, 1, 2})
    topic.round([1], {0, 1, 2})
    assert topic.poison == [0, 1]
    topic.round([2], {0, 1, 2})
    assert topic.kept == [2]
    topic.round([3], {0, 1, 2})
    assert (topic.poison, topic.processed, topic.kept) == ([0, 1, 2], [3], [])
