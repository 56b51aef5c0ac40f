"""The consumer kit: nothing is lost, nothing is committed too early, nothing stops at a broken record."""

import asyncio
import secrets
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from contracts import headers as names
from contracts import topics
from contracts.headers import header
from contracts.record import Record
from contracts.requests import RequestAccepted
from libs.bus.consumer import Batch, Consumer, Partitions, RetryLater
from libs.bus.groups import group_members
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.received import Poison, Received
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch
from tests.integration.flood import publish
from tests.stacks import until

WITHIN_S = 60.0


@pytest_asyncio.fixture(loop_scope="session")
async def producer(bus: BusSettings) -> AsyncIterator[Producer]:
    started = Producer(bus, "tests")
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def run() -> str:
    """A name of this test's records and groups: the broker is shared."""
    return secrets.token_hex(6)


class Seen:
    """What a group handled of one test's records."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.numbers: list[int] = []
        self.by_partition: dict[int, list[int]] = defaultdict(list)

    def take(self, batch: Batch) -> list[Received[Record]]:
        mine = [received for received in batch if self.mine(received)]
        for received in mine:
            self.numbers.append(self.number(received))
            self.by_partition[received.partition].append(received.offset)
        return mine

    def mine(self, received: Received[Record]) -> bool:
        assert isinstance(received.record, RequestAccepted)
        return received.record.model.startswith(f"{self.run}/")

    def number(self, received: Received[Record]) -> int:
        assert isinstance(received.record, RequestAccepted)
        return int(received.record.model.rpartition("/")[2])

    async def all(self, count: int) -> None:
        """Waits until every number below ``count`` was handled."""

        async def complete() -> bool | None:
            return set(range(count)) <= set(self.numbers) or None

        await until(complete, what=f"{count} records, there are {len(set(self.numbers))}", within_s=WITHIN_S)


@asynccontextmanager
async def _consuming(
    bus: BusSettings, producer: Producer, group: str, handle: Callable[[Batch], Awaitable[None]], **options: Any
) -> AsyncIterator[Consumer]:
    watch = BrokerWatch(bus)
    await watch.start()
    consumer = Consumer(bus, watch, producer, group=group, topics=[topics.REQUESTS], handle=handle, **options)
    await consumer.start()

    async def ready() -> bool | None:
        return consumer.ready or None

    await until(ready, what="assignment", within_s=WITHIN_S)
    try:
        yield consumer
    finally:
        await consumer.stop()
        await watch.stop()


async def test_every_record_is_handled_once_and_in_order(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)

    async def handle(batch: Batch) -> None:
        seen.take(batch)

    async with _consuming(bus, producer, run, handle):
        await publish(producer, run, 2_000)
        await seen.all(2_000)
    assert len(seen.numbers) == 2_000
    for offsets in seen.by_partition.values():
        assert offsets == sorted(offsets)


async def test_batches_of_concurrent_producers_are_all_seen(bus: BusSettings, producer: Producer, run: str) -> None:
    """Tansu shows a later batch before an earlier one that is still being written (libs/bus/contiguity.py)."""
    seen, each = Seen(run), 6_400

    async def handle(batch: Batch) -> None:
        seen.take(batch)

    async with _consuming(bus, producer, run, handle):
        floods = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.integration.flood", bus.bootstrap, run, str(index * each), str(each)
            )
            for index in range(3)
        ]
        assert [await flood.wait() for flood in floods] == [0, 0, 0]
        await seen.all(3 * each)
    assert len(seen.numbers) == 3 * each
    assert seen.by_partition[0] == sorted(seen.by_partition[0])


async def test_a_broken_record_goes_to_the_dead_letter_queue_and_the_others_on(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    seen, buried = Seen(run), list[Poison]()

    async def handle(batch: Batch) -> None:
        for received in seen.take(batch):
            if seen.number(received) == 3:
                raise ValueError("a bug that shows with this record")

    async def on_poison(poison: Poison) -> None:
        buried.append(poison)

    async with _consuming(bus, producer, run, handle, on_poison=on_poison):
        broken: list[tuple[bytes | None, str]] = [
            (b"{", "dev.sluice.RequestAccepted"),
            (b"{}", "dev.sluice.RequestAccepted"),
            (b"{}", "dev.sluice.NoSuchRecord"),
            (None, "dev.sluice.RequestAccepted"),
            (b'{"request_id":"canary-value"}', "dev.sluice.RequestAccepted"),
        ]
        for value, kind in broken:
            made = [(names.TYPE, kind.encode()), (names.SUBJECT, run.encode()), (names.REPLY_TO, b"0/ingress-x")]
            await settle([await producer.send_raw(topics.REQUESTS.name, value, key=b"k", headers=made)])
        await publish(producer, run, 6)
        await seen.all(6)

        async def all_buried() -> bool | None:
            return sum(1 for poison in buried if poison.request_id == run or "handler" in poison.reason) >= 6 or None

        await until(all_buried, what="6 dead letters", within_s=WITHIN_S)
    reasons = {}
    async for raw in read_to_end(bus, topics.REQUESTS, dead_letters=True):
        if header(raw.headers, names.DLQ_GROUP) == run:
            reasons[header(raw.headers, names.DLQ_OFFSET)] = header(raw.headers, names.DLQ_REASON) or ""
            assert header(raw.headers, names.DLQ_TOPIC) == topics.REQUESTS.name
    mine = list(reasons.values())
    assert sum("not a RequestAccepted" in reason for reason in mine) >= 3
    assert any("NoSuchRecord" in reason for reason in mine)
    assert any("no value" in reason for reason in mine)
    assert any("handler failed: ValueError" in reason for reason in mine)
    assert not any("canary-value" in reason for reason in mine)
    answered = [poison.reply_to for poison in buried if poison.request_id == run]
    assert all(address is not None and address.ingress_id == "ingress-x" for address in answered)


async def test_trouble_elsewhere_brings_the_same_batch_again(bus: BusSettings, producer: Producer, run: str) -> None:
    seen, failures = Seen(run), 3

    async def handle(batch: Batch) -> None:
        nonlocal failures
        if any(seen.mine(received) for received in batch) and failures:
            failures -= 1
            raise RetryLater("the database is away")
        seen.take(batch)

    async with _consuming(bus, producer, run, handle):
        await publish(producer, run, 50)
        await seen.all(50)
    assert failures == 0
    assert len(seen.numbers) == 50


async def test_held_records_are_delivered_to_the_next_owner(bus: BusSettings, producer: Producer, run: str) -> None:
    first, second = Seen(run), Seen(run)
    consumer: Consumer

    async def hold_odd(batch: Batch) -> None:
        for received in first.take(batch):
            if first.number(received) == 17:
                consumer.hold(received)

    async with _consuming(bus, producer, run, hold_odd) as consumer:
        await publish(producer, run, 40, partition=1)
        await first.all(40)

    async def handle(batch: Batch) -> None:
        second.take(batch)

    async with _consuming(bus, producer, run, handle):
        await publish(producer, run, 1, partition=1, first=40)

        async def caught_up() -> bool | None:
            return 40 in second.numbers or None

        await until(caught_up, what="record 40", within_s=WITHIN_S)
    assert second.numbers == list(range(17, 41))


async def test_nothing_is_lost_when_members_come_and_go(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)
    assigned: list[set[int]] = []

    async def handle(batch: Batch) -> None:
        seen.take(batch)

    async def on_assigned(partitions: Partitions) -> None:
        await asyncio.sleep(0.2)
        assigned.append(partitions[topics.REQUESTS])

    async def publish_on() -> None:
        for step in range(60):
            await publish(producer, run, 20, first=step * 20)
            await asyncio.sleep(0.05)

    publishing = asyncio.create_task(publish_on())
    async with _consuming(bus, producer, run, handle, on_assigned=on_assigned):
        async with (
            _consuming(bus, producer, run, handle, on_assigned=on_assigned),
            _consuming(bus, producer, run, handle, on_assigned=on_assigned),
        ):
            await publishing
        await seen.all(1_200)
    assert set(seen.numbers) == set(range(1_200))
    assert any(len(partitions) < bus.partitions for partitions in assigned)


async def test_a_leader_that_stops_while_another_joins_holds_nobody_up(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    async def handle(_batch: Batch) -> None:
        pass

    async with _consuming(bus, producer, run, handle) as leader:
        async with _consuming(bus, producer, run, handle):
            pass

        async def alone() -> bool | None:
            return (leader.ready and len(await group_members(bus, run)) == 1) or None

        await until(alone, what="the leader alone")
        successor = _consuming(bus, producer, run, handle)
        joining = asyncio.create_task(successor.__aenter__())

        async def joined() -> bool | None:
            return len(await group_members(bus, run)) > 1 or None

        await until(joined, what="a second member")
        # The leader has not heard of it yet: the group is forming.
        await leader.stop()
        assert (await joining).ready
        await successor.__aexit__(None, None, None)


async def test_the_drain_comes_before_the_group_is_left(bus: BusSettings, producer: Producer, run: str) -> None:
    seen, second, held = Seen(run), Seen(run), list[Received[Record]]()
    consumer: Consumer

    async def handle(batch: Batch) -> None:
        for received in seen.take(batch):
            consumer.hold(received)
            held.append(received)

    async def drain() -> None:
        for received in held:
            consumer.release(received)

    async with _consuming(bus, producer, run, handle, on_stop=drain) as consumer:
        await publish(producer, run, 10)
        await seen.all(10)

    async def handle_again(batch: Batch) -> None:
        second.take(batch)

    async with _consuming(bus, producer, run, handle_again):
        await publish(producer, run, 1, first=10)

        async def caught_up() -> bool | None:
            return 10 in second.numbers or None

        await until(caught_up, what="record 10", within_s=WITHIN_S)
    assert second.numbers == [10]
