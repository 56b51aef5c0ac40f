"""A member that was taken for dead finds out, and asks no more than it has to."""

from typing import cast

import pytest
from aiokafka.errors import KafkaConnectionError

from libs.bus.reader import Beat, PartitionReader
from libs.bus.tenure import Tenure


class _Coordinator:
    """What a reader shows of its group's."""

    def __init__(self) -> None:
        self.member_id = "relay-1-a"
        self.answer: Beat | None = Beat.KNOWN
        """None: it is away."""
        self.asked = 0

    async def beat(self) -> Beat:
        self.asked += 1
        if self.answer is None:
            raise KafkaConnectionError
        return self.answer


def _tenure(coordinator: _Coordinator, session_s: float) -> Tenure:
    return Tenure(session_s, lambda: cast("PartitionReader", coordinator))


async def test_it_lasts_for_as_long_as_the_group_knows_the_member() -> None:
    coordinator = _Coordinator()
    tenure = _tenure(coordinator, 0.0)
    member_id = tenure.member_id
    assert await tenure.lasts(member_id)
    coordinator.answer = Beat.UNKNOWN
    assert not await tenure.lasts(member_id)
    coordinator.answer = None
    with pytest.raises(KafkaConnectionError):
        await tenure.lasts(member_id)
    coordinator.answer, coordinator.member_id = Beat.KNOWN, "relay-1-b"
    assert not await tenure.lasts(member_id), "it is another member since then"
    assert await tenure.lasts("relay-1-b")


async def test_one_answer_is_enough_for_most_of_a_session() -> None:
    coordinator = _Coordinator()
    tenure = _tenure(coordinator, 3_600.0)
    assert await tenure.lasts("relay-1-a")
    assert await tenure.lasts("relay-1-a")
    assert coordinator.asked == 1
    assert not await tenure.lasts("")
    assert not await Tenure(3_600.0, lambda: None).lasts("relay-1-a")


async def test_a_group_that_is_rebalanced_may_miss_it_at_any_moment() -> None:
    coordinator = _Coordinator()
    coordinator.answer = Beat.IS_TO_REJOIN
    tenure = _tenure(coordinator, 3_600.0)
    assert await tenure.lasts("relay-1-a")
    assert await tenure.lasts("relay-1-a")
    assert coordinator.asked == 2
