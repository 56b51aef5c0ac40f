"""Rate-limit's processor on a real broker: the changelog, recovery from it, and forgetting."""

import secrets
from collections.abc import AsyncIterator, Sequence

import pytest_asyncio
from aiokafka import TopicPartition

from contracts import topics
from contracts.clock import now_ms
from contracts.decisions import QuotaReserved
from contracts.requests import RequestAccepted
from contracts.services import RATE_LIMIT
from libs.bus.dead_letters import DeadLetters
from libs.bus.processor import Work
from libs.bus.producer import Producer
from libs.bus.reading import read_to_end
from libs.bus.records import Received, decode
from libs.bus.service import Service
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY
from libs.config.gateway import Limits, Timeouts
from libs.runtime.health import Health
from services.rate_limit.core.bounds import Views
from services.rate_limit.core.timeliness import OutOfTimeCount
from services.rate_limit.handlers import QuotaProcessor
from tests.integration.publishing import key_in
from tests.unit.records import Config, accepted, versions_of

PARTITION = 1


@pytest_asyncio.fixture(loop_scope="session")
async def service(bus: BusSettings) -> AsyncIterator[Service]:
    producer = Producer(bus, RATE_LIMIT)
    await producer.start()
    yield Service(RATE_LIMIT, bus, producer, Health("rate-limit"), DeadLetters(producer, "tests"), NOBODY)
    await producer.stop()


def _processor(service: Service, limits: Limits) -> tuple[QuotaProcessor, Work]:
    owned = {TopicPartition(topic.name, PARTITION): 0 for topic in (topics.REQUESTS, topics.USAGE)}
    work = Work(service.producer, owned)
    processor = QuotaProcessor(
        work,
        service,
        versions=versions_of(Config(limits=limits)),
        views=Views({}, {}),
        credentials={},
        timeouts=Timeouts(route_s=1e9, request_s=1e9),
        out_of_time=OutOfTimeCount(),
        keep_ms=720_000,
    )
    return processor, work


def _batch(subject: str, offsets: range, at_ms: int) -> Sequence[Received[RequestAccepted]]:
    return [
        Received(
            accepted(offset, subject=subject, model="stub/echo:free", accepted_at_ms=at_ms),
            topics.REQUESTS,
            PARTITION,
            offset,
            at_ms,
            "",
        )
        for offset in offsets
    ]


async def _decisions(bus: BusSettings, subject: str) -> list[bool]:
    """Whether each request of a subject was let in, in the order of the decisions."""
    found = []
    async for raw in read_to_end(bus, topics.QUOTA_DECISIONS):
        record = decode(raw).record
        assert isinstance(record, QuotaReserved)
        if record.subject == subject:
            found.append(record.refusal is None)
    return found


async def test_a_successor_knows_what_was_admitted(bus: BusSettings, service: Service) -> None:
    now, limit = now_ms(), Limits(free_requests=5, free_window_s=60)
    subject = key_in(PARTITION, bus, f"ip:{secrets.token_hex(6)}")
    first, work = _processor(service, limit)
    await first.load()
    await first.process(_batch(subject, range(3), now))
    await work.settle()
    successor, work = _processor(service, limit)
    await successor.load()
    await successor.process(_batch(subject, range(10), now))
    await work.settle()
    decided = await _decisions(bus, subject)
    assert decided == [True] * 5 + [False] * 5, "what is on the log is not decided again"


async def test_idle_subjects_are_forgotten_in_memory_and_on_the_log(bus: BusSettings, service: Service) -> None:
    idle, active = (key_in(PARTITION, bus, f"ip:{secrets.token_hex(6)}") for _ in range(2))
    now, limits = now_ms(), Limits(free_requests=5, free_window_s=60)
    processor, work = _processor(service, limits)
    await processor.process(_batch(idle, range(2), now - 61_000))
    await processor.process(_batch(active, range(2, 4), now))
    await processor.tick()
    await work.settle()
    last: dict[bytes, bytes | None] = {}
    async for raw in read_to_end(bus, topics.QUOTA_STATE, partitions={PARTITION}):
        last[raw.key] = raw.value
    assert last[idle.encode()] is None
    assert last[active.encode()] is not None
    await processor.process(_batch(idle, range(4, 9), now))
    await processor.process(_batch(active, range(9, 13), now))
    await work.settle()
    assert await _decisions(bus, idle) == [True] * 7, "an idle subject begins anew"
    assert await _decisions(bus, active) == [True] * 5 + [False]


async def test_a_second_pass_over_a_batch_saves_its_windows_again(bus: BusSettings, service: Service) -> None:
    """The first may have failed before the changelog had them."""
    subject, now = key_in(PARTITION, bus, f"ip:{secrets.token_hex(6)}"), now_ms()
    processor, work = _processor(service, Limits(free_requests=5, free_window_s=60))
    batch = _batch(subject, range(2), now)
    for _ in range(2):
        await processor.process(batch)
        await work.settle()
    saved = [raw async for raw in read_to_end(bus, topics.QUOTA_STATE) if raw.key == subject.encode()]
    assert len(saved) == 2
    assert await _decisions(bus, subject) == [True] * 4
