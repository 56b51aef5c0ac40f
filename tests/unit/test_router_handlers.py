"""The router's records: none is told too early, none is kept for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.errors import KafkaTimeoutError

from contracts import topics
from contracts.record import Record
from contracts.requests import ProviderSort, RequestAccepted
from contracts.routes import RequestRejected, RoutePlanned
from libs.bus.consumer import Batch
from libs.bus.dead_letters import DeadLetters
from libs.bus.received import Received
from libs.config.catalog import Catalog
from libs.config.gateway import Breaker, Model, Provider
from services.router.core.health import Health
from services.router.handlers import RouterHandlers
from tests.unit.bus import Places, SilentLog
from tests.unit.records import NOW_MS, Config, accepted, decisions

CATALOG = Catalog(
    Config(
        providers={"stub": Provider(base_url="http://stub")},
        models=[Model(id="stub/echo", provider="stub", upstream_model="echo-1")],
    )
)


class Router:
    """Its handlers, with a log that is told what to do."""

    def __init__(self) -> None:
        self.log = SilentLog()
        self.places = Places()
        self.handlers = RouterHandlers(
            self.log,
            DeadLetters(self.log, "router"),
            catalog=CATALOG,
            health=Health(Breaker()),
            sort=ProviderSort.PRICE,
            keep_ms=30_000,
        )
        self.handlers.consumer = self.places

    async def handle(self, batch: Batch) -> None:
        """Takes a batch."""
        await self.places.give(self.handlers.handle, batch)

    @property
    def routes(self) -> int:
        """How often a route was told."""
        return sum(isinstance(record, RoutePlanned) for record in self.log.taken)


@pytest_asyncio.fixture
async def router() -> AsyncIterator[Router]:
    made = Router()
    await made.handlers.start()
    yield made
    await made.handlers.stop()


def _request() -> RequestAccepted:
    """One that does not expire."""
    return accepted(route_by_ms=2**50)


def _received(record: Record, offset: int) -> Received[Record]:
    topic = topics.REQUESTS if isinstance(record, RequestAccepted) else topics.DECISIONS
    return Received(record, topic.name, 0, offset, NOW_MS, "acct:a", "")


def _batch(first: int = 0) -> Batch:
    return [_received(record, first + number) for number, record in enumerate((_request(), *decisions()))]


async def test_a_route_that_the_log_does_not_take_is_told_until_it_does(router: Router) -> None:
    batch = _batch()
    handling = asyncio.create_task(router.handle(batch))
    await router.log.has_taken(1)
    router.log.refuse(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await handling
    await router.handle(batch)
    assert router.places.watermark.committable == 0, "the request is in work"
    await router.log.has_taken(2)
    router.log.confirm()
    async with asyncio.timeout(10):
        while router.places.watermark.committable < len(batch):
            await asyncio.sleep(0)
    assert router.routes == 2
    await router.handle(batch)
    assert router.places.watermark.committable == len(batch), "who comes again has been answered"
    assert router.routes == 2


async def test_a_request_that_is_told_twice_is_in_work_once(router: Router) -> None:
    request, *others = _batch()
    await router.handle([request, _received(_request(), 10)])
    assert router.places.watermark.committable == 0
    handling = asyncio.create_task(router.handle([*others, _received(_request(), 11)]))
    await router.log.has_taken(1)
    router.log.confirm()
    await handling
    assert router.places.watermark.committable == 12
    assert router.routes == 1


async def test_a_request_whose_route_cannot_be_planned_is_told_so(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr("services.router.handlers.plan", broken)
    handling = asyncio.create_task(router.handle(_batch()))
    await router.log.has_taken(1)
    router.log.confirm()
    await handling
    (told,) = router.log.taken
    assert isinstance(told, RequestRejected)
    assert (told.refusal.status, told.failed) == (500, True)
    assert router.places.watermark.committable == 4
