"""Records that wait, against a plain model: a log of numbers, and a reader that stands somewhere on each partition."""

from collections import Counter
from typing import Any

from aiokafka import TopicPartition
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from libs.bus.records import Raw
from libs.bus.untaken import Untaken

PARTITIONS = [TopicPartition("t", number) for number in range(3)]
ONE = st.sampled_from(PARTITIONS)
SOURCES = ("one broker", "another")


def _raw(partition: TopicPartition, offset: int) -> Raw:
    return Raw(partition.topic, partition.partition, offset, 0, None, b"", [])


class Reading(RuleBasedStateMachine):
    """What is taken of a partition is what lies on it from where it stands, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.untaken = Untaken[str]()
        self.stands = dict.fromkeys(PARTITIONS, 0)
        self.paused: set[TopicPartition] = set()
        self.waits: dict[TopicPartition, tuple[list[int], int, int, str]] = {}
        """Offsets, the position of the first of them and of what follows the last, source."""

    def standing(self, partition: TopicPartition) -> int | None:
        return None if partition in self.paused else self.stands[partition]

    @rule(one=ONE, count=st.integers(0, 4), gap=st.integers(0, 2), source=st.sampled_from(SOURCES))
    def fetch(self, one: TopicPartition, count: int, gap: int, source: str) -> None:
        """Offsets have gaps where a topic is compacted."""
        if one in self.waits:
            return
        at = self.stands[one]
        offsets, after = list(range(at + gap, at + gap + count)), at + gap + count + gap
        self.untaken.add(one, [_raw(one, offset) for offset in offsets], at, after, source)
        self.waits[one] = (offsets, at, after, source)

    @rule(one=ONE, offset=st.integers(0, 9))
    def seek(self, one: TopicPartition, offset: int) -> None:
        self.stands[one] = offset

    @rule(one=ONE)
    def pause_or_resume(self, one: TopicPartition) -> None:
        self.paused ^= {one}

    @rule()
    def drop_all(self) -> None:
        self.untaken.clear()
        self.waits.clear()

    @rule(asked=st.sets(ONE), most=st.none() | st.integers(0, 5))
    def take(self, asked: set[TopicPartition], most: int | None) -> None:
        taken = self.untaken.take(self.standing, asked, most)
        found = {one: [raw.offset for raw in raws] for one, raws in taken.records.items()}
        expected: dict[TopicPartition, list[int]] = {}
        emptied: set[str] = set()
        positions: dict[TopicPartition, int] = {}
        left = most
        for one, (offsets, at, after, source) in list(self.waits.items()):
            if asked and one not in asked:
                continue
            if left == 0:
                break
            if self.standing(one) != at:
                del self.waits[one]
                emptied.add(source)
                continue
            given = offsets if left is None else offsets[:left]
            rest = offsets[len(given) :]
            if given:
                expected[one] = given
            if rest:
                positions[one] = rest[0]
                self.waits[one] = (rest, rest[0], after, source)
            else:
                positions[one] = after
                del self.waits[one]
                emptied.add(source)
            left = None if left is None else left - len(given)
        assert found == expected
        assert taken.positions == positions
        assert taken.emptied == emptied
        self.stands |= taken.positions

    @invariant()
    def it_knows_what_waits(self) -> None:
        assert bool(self.untaken) == bool(self.waits)
        of: Counter[Any] = Counter(source for *_, source in self.waits.values())
        assert [self.untaken.some_of(source) for source in SOURCES] == [of[source] > 0 for source in SOURCES]


TestReading = Reading.TestCase
