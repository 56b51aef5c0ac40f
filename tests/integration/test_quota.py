"""Rate-limit's handlers on a real broker: the changelog, recovery from it, and forgetting."""

import secrets
from collections.abc import AsyncIterator

import pytest_asyncio

from contracts import topics
from contracts.clock import now_ms
from libs.bus.consumer import Batch
from libs.bus.dead_letters import DeadLetters
from libs.bus.producer import Producer
from libs.bus.reading import read_to_end
from libs.bus.received import Received, parse
from libs.bus.settings import BusSettings
from libs.config.catalog import Catalog
from libs.config.gateway import Billing, GatewayConfig, Limits
from services.rate_limit.core.spending import Rules
from services.rate_limit.handlers import QuotaHandlers
from tests.unit.bus import Places
from tests.unit.records import accepted

PARTITION = 1


@pytest_asyncio.fixture(loop_scope="session")
async def producer(bus: BusSettings) -> AsyncIterator[Producer]:
    started = Producer(bus, "tests")
    await started.start()
    yield started
    await started.stop()


def _handlers(bus: BusSettings, producer: Producer, limits: Limits, *, prepaid: bool = True) -> QuotaHandlers:
    handlers = QuotaHandlers(
        bus,
        producer,
        DeadLetters(producer, "tests"),
        rules=Rules(limits, Billing(prepaid=prepaid)),
        catalog=Catalog(GatewayConfig()),
        policies={},
        credentials={},
        keep_ms=720_000,
    )
    handlers.consumer = Places()
    return handlers


def _batch(subject: str, offsets: range, at_ms: int) -> Batch:
    return [
        Received(
            accepted(offset, subject=subject, free=True, accepted_at_ms=at_ms),
            topics.REQUESTS.name,
            PARTITION,
            offset,
            at_ms,
            subject,
            "",
        )
        for offset in offsets
    ]


async def _decisions(bus: BusSettings, subject: str) -> list[bool]:
    """Whether each request of a subject was let in, in the order of the decisions."""
    return [
        parse(raw).record.refusal is None  # type: ignore[attr-defined]
        async for raw in read_to_end(bus, topics.DECISIONS)
        if raw.key == subject.encode()
    ]


async def test_a_successor_knows_what_was_admitted(bus: BusSettings, producer: Producer) -> None:
    subject, now, limit = f"ip:{secrets.token_hex(6)}", now_ms(), Limits(free_requests=5, free_window_s=60)
    while await producer.partition_for(topics.DECISIONS, subject) != PARTITION:
        subject = f"ip:{secrets.token_hex(6)}"
    first = _handlers(bus, producer, limit)
    await first.assigned({topics.REQUESTS: {PARTITION}})
    await first.handle(_batch(subject, range(3), now))
    successor = _handlers(bus, producer, limit)
    await successor.assigned({topics.REQUESTS: {PARTITION}})
    await successor.handle(_batch(subject, range(10), now))
    decided = await _decisions(bus, subject)
    assert decided == [True] * 5 + [False] * 5, "what is on the log is not decided again"


async def test_idle_subjects_are_forgotten_in_memory_and_on_the_log(bus: BusSettings, producer: Producer) -> None:
    idle, active, now = f"ip:{secrets.token_hex(6)}", f"ip:{secrets.token_hex(6)}", now_ms()
    handlers = _handlers(bus, producer, Limits(free_requests=5, free_window_s=1))
    await handlers.handle(_batch(idle, range(2), now - 2_000))
    handlers._forgot_at_ms = 0
    await handlers.handle(_batch(active, range(2, 4), now))
    handlers._forgot_at_ms = 0
    await handlers._forget_idle(now)
    assert set(handlers._partitions[PARTITION].windows) == {active}
    last: dict[bytes, bytes | None] = {}
    async for raw in read_to_end(bus, topics.QUOTA_STATE, partitions={PARTITION}):
        last[raw.key] = raw.value
    assert last[idle.encode()] is None
    assert last[active.encode()] is not None
