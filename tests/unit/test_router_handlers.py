"""The router's records: none is published too early, none is kept for ever."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from contracts import topics
from contracts.record import Record, Refusal
from contracts.replies import PromptWanted
from contracts.requests import RequestAccepted
from contracts.routes import RequestRejected, RoutePlanned
from contracts.topic import Topic
from libs.breakers import Health
from libs.bus.producer import Acknowledgement
from libs.bus.records import Received
from libs.config.gateway import Breaker
from services.router.handlers import RouterProcessor
from tests.unit.bus import OnePartition, SilentLog
from tests.unit.records import NOW_MS, accepted, decisions, echo_versions, request_id

TOPICS = {topic.records[0]: topic for topic in topics.TOPICS if len(topic.records) == 1}
Batch = list[Received[Record]]


class Router:
    """Its processor, with a log that does what a test says."""

    def __init__(self) -> None:
        self.log = SilentLog()
        self.work = OnePartition(self.log)
        self.processor = RouterProcessor(self.work, versions=echo_versions(), health=Health(Breaker), keep_ms=30_000)

    async def process(self, batch: Batch) -> None:
        """Takes a batch."""
        await self.work.give(self.processor, batch)

    @property
    def routes(self) -> int:
        """How often a route was published."""
        return sum(isinstance(record, RoutePlanned) for record in self.log.taken)


@pytest.fixture
def router() -> Router:
    return Router()


def _request() -> RequestAccepted:
    """One that does not expire."""
    return accepted(route_by_ms=2**50)


def _received(record: Record, offset: int) -> Received[Record]:
    return Received(record, TOPICS[type(record)], 0, offset, NOW_MS, "")


def _batch(first: int = 0) -> Batch:
    return [_received(record, first + number) for number, record in enumerate((_request(), *decisions()))]


async def test_a_route_that_the_log_does_not_take_is_published_until_it_does(router: Router) -> None:
    batch = _batch()
    processing = asyncio.create_task(router.process(batch))
    await router.log.has_taken(1)
    router.log.refuse(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await processing
    assert router.work.finished_to == 0
    again = asyncio.create_task(router.process(batch))
    await router.log.has_taken(2)
    assert router.work.finished_to == 0, "the request is in work"
    router.log.confirm()
    await again
    assert router.work.finished_to == len(batch)
    assert router.routes == 2
    await router.process(batch)
    assert router.work.finished_to == len(batch), "what comes again has been answered"
    assert router.routes == 2


async def test_a_tick_publishes_what_the_log_did_not_take(router: Router) -> None:
    batch = _batch()
    processing = asyncio.create_task(router.process(batch))
    await router.log.has_taken(1)
    router.log.refuse(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await processing
    tick = asyncio.create_task(router.processor.tick())
    await router.log.has_taken(2)
    router.log.confirm()
    await tick
    assert router.routes == 2


async def test_a_request_that_is_published_twice_is_in_work_once(router: Router) -> None:
    request, *others = _batch()
    await router.process([request, _received(_request(), 10)])
    assert router.work.finished_to == 0
    processing = asyncio.create_task(router.process([*others, _received(_request(), 11)]))
    await router.log.has_taken(1)
    router.log.confirm()
    await processing
    assert router.work.finished_to == 12
    assert router.routes == 1


async def test_a_request_whose_route_cannot_be_planned_is_refused(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr("services.router.handlers.plan", broken)
    processing = asyncio.create_task(router.process(_batch()))
    await router.log.has_taken(1)
    router.log.confirm()
    await processing
    (published,) = router.log.taken
    assert isinstance(published, RequestRejected)
    assert (published.refusal.status, published.failed) == (500, True)
    assert router.work.finished_to == 4


async def test_a_route_that_is_too_large_holds_up_no_other(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = router.log.publish

    async def bounded(topic: Topic[Any], record: Record, trace: str = "") -> Acknowledgement:
        if isinstance(record, RoutePlanned) and record.request_id == request_id(1):
            raise MessageSizeTooLargeError
        return await publish(topic, record, trace)

    monkeypatch.setattr(router.log, "publish", bounded)
    other = [accepted(2, route_by_ms=2**50), *decisions(2)]
    batch = _batch() + [_received(record, 10 + number) for number, record in enumerate(other)]
    processing = asyncio.create_task(router.process(batch))
    await router.log.has_taken(1)
    router.log.confirm()
    await processing
    assert router.routes == 1
    assert router.work.finished_to == 14


async def test_a_prompt_is_asked_for_once_its_request_has_a_route(router: Router) -> None:
    waits = _received(accepted(route_by_ms=2**50, prompt_waits=True), 0)
    processing = asyncio.create_task(router.process([waits, *_batch()[1:]]))
    await router.log.has_taken(2)
    router.log.confirm()
    await processing
    wanted, route = router.log.taken
    assert wanted == PromptWanted(request_id=request_id(1), reply_to=accepted().reply_to)
    assert isinstance(route, RoutePlanned)


async def test_the_prompt_of_a_refused_request_is_not_asked_for(router: Router) -> None:
    policy, quota, credential = decisions()
    refused = quota.model_copy(update={"refusal": Refusal(status=402, message="no credit")})
    records = (accepted(route_by_ms=2**50, prompt_waits=True), policy, refused, credential)
    batch = [_received(record, number) for number, record in enumerate(records)]
    processing = asyncio.create_task(router.process(batch))
    await router.log.has_taken(1)
    router.log.confirm()
    await processing
    (published,) = router.log.taken
    assert isinstance(published, RequestRejected)
