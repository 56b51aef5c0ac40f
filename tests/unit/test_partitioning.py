"""Keys lie where librdkafka's ``consistent`` partitioner puts them."""

from hypothesis import given
from hypothesis import strategies as st

from libs.bus.partitioning import Partitioner

CHECK = 0xCBF43926
"""Of ``123456789``: the check value of CRC-32/ISO-HDLC."""


@given(st.integers(1, 1_000))
def test_a_key_lies_by_its_crc_32(count: int) -> None:
    assert Partitioner()(b"123456789", range(count), range(count)) == CHECK % count


@given(st.binary(max_size=80), st.integers(1, 64))
def test_a_key_always_lies_in_the_same_partition_whichever_have_leaders(key: bytes, count: int) -> None:
    numbers = list(range(count))
    assert Partitioner()(key, numbers, numbers) == Partitioner()(key, numbers, [])


def test_without_a_key_a_partition_that_has_a_leader_is_chosen() -> None:
    assert {Partitioner()(None, [0, 1, 2], [1, 2]) for _ in range(200)} == {1, 2}
