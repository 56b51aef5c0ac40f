"""Keys lie where Kafka's own clients put them."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.partitioning import Partitioner


@given(st.binary(max_size=80), st.integers(1, 64))
def test_a_key_lies_where_kafka_puts_it_each_time(key: bytes, count: int) -> None:
    numbers = list(range(count))
    expected = DefaultPartitioner()(key, numbers, numbers)
    assert Partitioner()(key, numbers, numbers) == expected
    assert Partitioner()(key, numbers, numbers) == expected


def test_without_a_key_a_partition_that_has_a_leader_is_chosen() -> None:
    assert {Partitioner()(None, [0, 1, 2], [1, 2]) for _ in range(200)} == {1, 2}
