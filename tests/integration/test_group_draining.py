"""A member that leaves lets its work end first."""

import asyncio

from contracts import topics
from contracts.requests import RequestAccepted
from libs.bus.admin import group_members
from libs.bus.processor import Work
from libs.bus.producer import Producer
from libs.bus.records import Received
from libs.bus.settings import BusSettings
from tests.integration.members import WITHIN_S, Batch, Seen, assigned, member_of, running_member
from tests.integration.publishing import key_in, publish
from tests.stacks import until


async def test_the_drain_comes_before_the_group_is_left(bus: BusSettings, producer: Producer, run: str) -> None:
    seen, second, held = Seen(run), Seen(run), list[Received[RequestAccepted]]()

    async def process(batch: Batch, work: Work) -> None:
        for received in seen.take(batch):
            work.hold(received)
            held.append(received)

    async def drain(work: Work) -> None:
        for received in held:
            work.finish(received)

    async with running_member(member_of(bus, producer, run, process, drain=drain)):
        await publish(producer, run, 10)
        await seen.all(10)
    async with running_member(member_of(bus, producer, run, second.process)):
        await publish(producer, run, 1, first=10)
        await second.one(10)
    assert second.numbers == [10]


async def test_a_member_that_drains_stays_in_the_group_and_holds_up_nobody(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    """Who drains a stream is alive for the others (ADR 5), which have its partitions meanwhile."""
    seen, drained = Seen(run), asyncio.Event()

    async def drain(_work: Work) -> None:
        await drained.wait()

    leaving = member_of(bus, producer, run, seen.process, drain=drain, client_id="leaving")
    await leaving.start()
    await assigned(leaving)
    stopping = asyncio.create_task(leaving.stop())
    async with running_member(member_of(bus, producer, run, seen.process, client_id="staying")):
        await publish(producer, run, 1)

        async def both() -> bool | None:
            names = await group_members(bus, run)
            return (any(name.startswith("leaving") for name in names) and len(names) == 2) or None

        await until(both, what="both members")
        assert not stopping.done()
        drained.set()
        async with asyncio.timeout(WITHIN_S):
            await stopping
        await seen.all(1)


async def test_who_drains_elsewhere_gives_its_partitions_away_before(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    seen, second, drained = Seen(run), Seen(run), asyncio.Event()

    async def drain(_work: Work) -> None:
        await drained.wait()

    leaving = member_of(bus, producer, run, seen.process, drain=drain, client_id="leaving", drains_on=topics.ATTEMPTS)
    await leaving.start()
    subjects = [f"acct:{key_in(number, bus, run)}" for number in range(4)]
    for number, subject in enumerate(subjects):
        await publish(producer, run, 1, first=number, subject=subject)
    await seen.all(4)
    stopping = asyncio.create_task(leaving.stop())
    async with running_member(member_of(bus, producer, run, second.process, client_id="staying")):
        for number, subject in enumerate(subjects, 4):
            await publish(producer, run, 1, first=number, subject=subject)

        async def all_of_them() -> bool | None:
            return set(second.numbers) == {4, 5, 6, 7} or None

        await until(all_of_them, what="the records of all partitions", within_s=WITHIN_S)
        assert not stopping.done()
        assert any(name.startswith("leaving") for name in await group_members(bus, run))
        drained.set()
        async with asyncio.timeout(WITHIN_S):
            await stopping
    assert sorted(seen.numbers) == [0, 1, 2, 3]
