"""Members of a group come and go."""

import asyncio
from collections.abc import Awaitable, Callable

from contracts import topics
from contracts.requests import RequestAccepted
from libs.bus.admin import group_members
from libs.bus.group import GroupMember
from libs.bus.processor import Work
from libs.bus.producer import Producer
from libs.bus.settings import BusSettings
from tests.integration.members import Batch, Seen, member_of, running_member
from tests.integration.publishing import publish
from tests.stacks import until


async def test_nothing_is_lost_when_members_come_and_go(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)
    assigned: list[set[int]] = []

    async def load(work: Work) -> None:
        await asyncio.sleep(0.2)
        assigned.append(work.partitions_of(topics.REQUESTS))

    async def publish_on() -> None:
        for step in range(60):
            await publish(producer, run, 20, first=step * 20)
            await asyncio.sleep(0.05)

    publishing = asyncio.create_task(publish_on())
    async with running_member(member_of(bus, producer, run, seen.process, load=load)):
        async with (
            running_member(member_of(bus, producer, run, seen.process, load=load)),
            running_member(member_of(bus, producer, run, seen.process, load=load)),
        ):
            await publishing
        await seen.all(1_200)
    assert set(seen.numbers) == set(range(1_200))
    assert any(len(partitions) < bus.partitions for partitions in assigned)


async def test_a_failing_load_is_tried_again_and_no_record_comes_before(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    seen, failures = Seen(run), 2
    await publish(producer, run, 5)

    async def load(_work: Work) -> None:
        nonlocal failures
        assert not seen.numbers
        if failures:
            failures -= 1
            raise RuntimeError("the state cannot be read yet")

    async with running_member(member_of(bus, producer, run, seen.process, load=load)):
        await seen.all(5)
    assert failures == 0


async def test_a_leader_that_stops_while_another_joins_holds_nobody_up(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    async def process(_batch: Batch, _work: Work) -> None:
        pass

    async with running_member(member_of(bus, producer, run, process)) as leader:
        async with running_member(member_of(bus, producer, run, process)):
            pass

        async def alone() -> bool | None:
            return (leader.ready and len(await group_members(bus, run)) == 1) or None

        await until(alone, what="the leader alone")
        successor = running_member(member_of(bus, producer, run, process))
        joining = asyncio.create_task(successor.__aenter__())

        async def joined() -> bool | None:
            return len(await group_members(bus, run)) > 1 or None

        await until(joined, what="a second member")
        # The leader does not know of it yet: the group is forming.
        await leader.stop()
        assert (await joining).ready
        await successor.__aexit__(None, None, None)


async def test_a_named_member_comes_back_to_its_partitions(bus: BusSettings, producer: Producer, run: str) -> None:
    """Static membership: no rebalance, although the member was away and the other one is there all the time."""
    seen, loads = Seen(run), dict[str, int]()

    def loaded(name: str) -> Callable[[Work], Awaitable[None]]:
        async def load(_work: Work) -> None:
            loads[name] = loads.get(name, 0) + 1

        return load

    def member(name: str) -> GroupMember[RequestAccepted]:
        return member_of(bus, producer, run, seen.process, load=loaded(name), instance=name)

    async def shared() -> bool | None:
        return loads == {"one": 2, "two": 1} or None

    async with running_member(member("one")):
        async with running_member(member("two")):
            await until(shared, what="a share for each")
        before = dict(loads)
        async with running_member(member("two")):
            await publish(producer, run, 100)
            await seen.all(100)
    assert loads["two"] == before["two"] + 1
    assert loads["one"] == before["one"], "the other member's partitions were taken from it"
