"""On a real log, and in a real group: who ends a request that another has gone on with is refused."""

import secrets
from typing import Any

import pytest

from contracts import topics
from contracts.attempts import AttemptStarted
from contracts.clock import now_ms
from contracts.replies import Outcome
from contracts.routes import RoutePlanned
from contracts.services import Group
from libs.bus.group import GroupMember
from libs.bus.processor import Processor, Work
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.records import Received, decode
from libs.bus.settings import BusSettings
from services.relay.core.ending import Ending
from services.relay.core.job import Job
from services.relay.diary import Diary
from services.relay.ownership import LeftError, Ownership
from tests.integration.publishing import running_producer
from tests.stacks import until
from tests.unit.records import echo_versions, prompt, route

pytestmark = pytest.mark.asyncio(loop_scope="session")


class _Idle(Processor[Any]):
    async def process(self, batch: Any) -> None:
        """Nothing comes."""


def _make(work: Work) -> Processor[Any]:
    return _Idle()


def _route() -> RoutePlanned:
    number = secrets.randbelow(2**40)
    return route(number).model_copy(update={"accepted_at_ms": now_ms()})


async def _of(bus: BusSettings, topic: Any, planned: RoutePlanned) -> list[Any]:
    records = [decode(raw) async for raw in read_to_end(bus, topic)]
    found = [one.record for one in records if isinstance(one, Received)]
    return [one for one in found if getattr(one, "request_id", "") == planned.request_id]


def _ending(by: str, call: int) -> Ending:
    return Ending(Outcome.COMPLETED, body=by, call=call)


async def _another_goes_on(producer: Producer, planned: RoutePlanned) -> None:
    started = AttemptStarted(
        request_id=planned.request_id, provider_id="stub", relay_id="relay-b", started_at_ms=now_ms(), call=1
    )
    await settle([await producer.publish(topics.ATTEMPTS, started)])


async def test_who_was_missed_after_it_had_looked_ends_nothing(bus: BusSettings) -> None:
    group: Group[Any] = Group(f"relay-{secrets.token_hex(4)}", (topics.ROUTES,))
    planned = _route()
    job = Job(planned, prompt(), echo_versions().newest, None, "")
    async with running_producer(bus) as producer:
        member = GroupMember(bus, producer, group, _make, client_id="relay-a")
        await member.start()
        slow = Ownership("relay-a", bus, member.tenure)

        async def is_member() -> bool | None:
            return (bool(slow.member_id) and member.ready) or None

        await until(is_member, what="a member of the group")
        member_id, diary = slow.member_id, Diary(producer, slow)
        await diary.begin(planned, member_id, "")
        assert await diary.why_not_called(job, member_id) is None
        assert await slow.runs(job, member_id), "it has looked"

        await member.stop()
        await _another_goes_on(producer, planned)
        with pytest.raises(LeftError):
            await diary.end(planned, _ending("relay-a", 0), member_id, "")
        assert await _of(bus, topics.USAGE, planned) == []
        assert not await slow.runs(job, member_id)

        fast = Ownership("relay-b", bus, member.tenure)
        await Diary(producer, fast).end(planned, _ending("relay-b", 1), "", "")
        (usage,) = await _of(bus, topics.USAGE, planned)
        (reply,) = await _of(bus, topics.REPLIES, planned)
        assert (reply.body, reply.call, usage.outcome) == ("relay-b", 1, Outcome.COMPLETED)
        # It wakes once more, and has its end on the log again: that counts as little as before.
        with pytest.raises(LeftError):
            await diary.begin(planned, member_id, "")
            await diary.why_not_called(job, member_id)


async def test_an_end_that_came_before_nobody_goes_on_with(bus: BusSettings) -> None:
    planned = _route()
    async with running_producer(bus) as producer:
        nobody = GroupMember(bus, producer, Group("relay-none", (topics.ROUTES,)), _make, client_id="relay-a")
        owner = Ownership("relay-a", bus, nobody.tenure)
        await Diary(producer, owner).end(planned, _ending("relay-a", 0), "", "")
        await _another_goes_on(producer, planned)
        await Diary(producer, owner).end(planned, _ending("late", 1), "", "")
        usages = await _of(bus, topics.USAGE, planned)
        assert len(usages) == 2
        assert usages[0] == usages[1]
        assert {reply.body for reply in await _of(bus, topics.REPLIES, planned)} == {"relay-a"}
