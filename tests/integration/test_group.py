"""Membership in a group: nothing is lost, nothing is committed too early, nothing stops at a broken record."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from contracts import headers as names
from contracts import topics
from contracts.clock import now_ms
from contracts.headers import header
from contracts.requests import RequestAccepted
from contracts.services import Group
from libs.bus.admin import group_members
from libs.bus.group import GroupMember
from libs.bus.processor import Processor, RetryLater, Work
from libs.bus.producer import Producer
from libs.bus.reading import read_to_end
from libs.bus.records import DeadLetter, Received
from libs.bus.settings import BusSettings
from tests.integration.publishing import key_in, publish, raw_producer, running_producer
from tests.stacks import until
from tests.unit.records import accepted

WITHIN_S = 60.0

Batch = Sequence[Received[RequestAccepted]]
Process = Callable[[Batch, Work], Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="session")
async def producer(bus: BusSettings) -> AsyncIterator[Producer]:
    async with running_producer(bus) as started:
        yield started


@pytest.fixture
def run() -> str:
    """A name of this test's records and groups: the broker is shared."""
    return secrets.token_hex(6)


class Seen:
    """What a group processed of one test's records."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.numbers: list[int] = []
        self.by_partition: dict[int, list[int]] = defaultdict(list)

    async def process(self, batch: Batch, _work: Work) -> None:
        self.take(batch)

    def take(self, batch: Batch) -> list[Received[RequestAccepted]]:
        mine = [received for received in batch if self.mine(received)]
        for received in mine:
            self.numbers.append(self.number(received))
            self.by_partition[received.partition].append(received.offset)
        return mine

    def mine(self, received: Received[RequestAccepted]) -> bool:
        return received.record.model.startswith(f"{self.run}/")

    def number(self, received: Received[RequestAccepted]) -> int:
        return int(received.record.model.rpartition("/")[2])

    async def all(self, count: int) -> None:
        """Waits until every number below ``count`` was processed."""

        async def complete() -> bool | None:
            return set(range(count)) <= set(self.numbers) or None

        await until(complete, what=f"{count} records, there are {len(set(self.numbers))}", within_s=WITHIN_S)

    async def one(self, number: int) -> None:
        """Waits until this number was processed."""

        async def there() -> bool | None:
            return number in self.numbers or None

        await until(there, what=f"record {number}", within_s=WITHIN_S)


class Given(Processor[RequestAccepted]):
    """Does what a test gives it."""

    def __init__(
        self,
        work: Work,
        process: Process,
        load: Callable[[Work], Awaitable[None]] | None,
        drain: Callable[[Work], Awaitable[None]] | None,
        letters: list[DeadLetter],
    ) -> None:
        self._work = work
        self._process = process
        self._load = load
        self._drain = drain
        self._letters = letters

    async def load(self) -> None:
        if self._load:
            await self._load(self._work)

    async def process(self, batch: Batch) -> None:
        await self._process(batch, self._work)

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        self._letters.append(letter)

    async def drain(self) -> None:
        if self._drain:
            await self._drain(self._work)


def _member(
    bus: BusSettings,
    producer: Producer,
    group: str,
    process: Process,
    *,
    load: Callable[[Work], Awaitable[None]] | None = None,
    drain: Callable[[Work], Awaitable[None]] | None = None,
    letters: list[DeadLetter] | None = None,
    **options: Any,
) -> GroupMember[RequestAccepted]:
    return GroupMember(
        bus,
        producer,
        Group(group, (topics.REQUESTS,)),
        lambda work: Given(work, process, load, drain, [] if letters is None else letters),
        **({"client_id": "tests"} | options),
    )


@asynccontextmanager
async def _running(member: GroupMember[RequestAccepted]) -> AsyncIterator[GroupMember[RequestAccepted]]:
    await member.start()

    async def ready() -> bool | None:
        return member.ready or None

    await until(ready, what="assignment", within_s=WITHIN_S)
    try:
        yield member
    finally:
        await member.stop()


async def test_every_record_is_processed_once_and_in_order(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)
    async with _running(_member(bus, producer, run, seen.process)):
        await publish(producer, run, 2_000)
        await seen.all(2_000)
    assert len(seen.numbers) == 2_000
    for offsets in seen.by_partition.values():
        assert offsets == sorted(offsets)


async def test_a_broken_record_goes_to_the_dead_letter_queue_and_the_others_on(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    seen, letters = Seen(run), list[DeadLetter]()

    async def process(batch: Batch, _work: Work) -> None:
        for received in seen.take(batch):
            if seen.number(received) == 3:
                raise ValueError("a bug that shows with this record")

    async with _running(_member(bus, producer, run, process, letters=letters)), raw_producer(bus) as raw:
        broken: list[tuple[bytes | None, str]] = [
            (b"{", "dev.sluice.RequestAccepted"),
            (b"{}", "dev.sluice.RequestAccepted"),
            (b"{}", "dev.sluice.NoSuchRecord"),
            (None, "dev.sluice.RequestAccepted"),
            (b'{"request_id":"canary-value"}', "dev.sluice.RequestAccepted"),
        ]
        for value, kind in broken:
            made = [(names.TYPE, kind.encode()), (names.SUBJECT, run.encode()), (names.REPLY_TO, b"0/ingress-x")]
            await raw.send_and_wait(topics.REQUESTS.name, value, key=b"k", headers=made)
        await raw.send_and_wait(
            topics.REQUESTS.name, b"{}", key=b"k", headers=[(names.SUBJECT, run.encode()), ("x", None)]
        )
        largest = b'{"' + b"x" * (topics.REQUESTS.max_record_bytes - 300)
        await raw.send_and_wait(topics.REQUESTS.name, largest, key=b"k", headers=made)
        await publish(producer, run, 6)
        await seen.all(6)

        async def all_written() -> bool | None:
            return sum(1 for letter in letters if letter.request_id == run or "handler" in letter.reason) >= 8 or None

        await until(all_written, what="8 dead letters", within_s=WITHIN_S)
    reasons = {}
    async for dead in read_to_end(bus, topics.REQUESTS, dead_letters=True):
        if header(dead.headers, names.DLQ_GROUP) == run:
            reasons[header(dead.headers, names.DLQ_PARTITION), header(dead.headers, names.DLQ_OFFSET)] = (
                header(dead.headers, names.DLQ_REASON) or ""
            )
            assert header(dead.headers, names.DLQ_TOPIC) == topics.REQUESTS.name
    mine = list(reasons.values())
    assert sum("not a RequestAccepted" in reason for reason in mine) >= 3
    assert any("NoSuchRecord" in reason for reason in mine)
    assert any("the record has no value" in reason for reason in mine)
    assert any("header 'x' has no value" in reason for reason in mine)
    assert any("handler failed: ValueError" in reason for reason in mine)
    assert not any("canary-value" in reason for reason in mine)
    answered = [letter.reply_to for letter in letters if letter.request_id == run and "header" not in letter.reason]
    assert all(address is not None and address.ingress_id == "ingress-x" for address in answered)


async def test_a_broken_handler_pauses_and_goes_on_where_it_was(bus: BusSettings, producer: Producer, run: str) -> None:
    seen, letters, broken = Seen(run), list[DeadLetter](), True

    async def process(batch: Batch, _work: Work) -> None:
        if broken:
            raise ValueError("a bug that shows with every record")
        seen.take(batch)

    await publish(producer, run, 2_000)
    member = _member(bus, producer, run, process, letters=letters)
    async with _running(member):

        async def full() -> bool | None:
            return bool(member._held_back) or None

        await until(full, what="a pause", within_s=WITHIN_S)
        assert member.paused is not None
        assert "ValueError" in member.paused
    assert seen.numbers == []
    member = _member(bus, producer, run, process, letters=letters)
    async with _running(member):
        await until(full, what="a pause", within_s=WITHIN_S)
        broken = False
        await seen.all(2_000)
        assert member.paused is None
    assert len(seen.numbers) == 2_000
    for offsets in seen.by_partition.values():
        assert offsets == sorted(offsets)
    assert not [letter for letter in letters if "handler" in letter.reason]


async def test_trouble_elsewhere_brings_the_same_batch_again(bus: BusSettings, producer: Producer, run: str) -> None:
    seen, failures = Seen(run), 3

    async def process(batch: Batch, _work: Work) -> None:
        nonlocal failures
        if any(seen.mine(received) for received in batch) and failures:
            failures -= 1
            raise RetryLater("the database is away")
        seen.take(batch)

    async with _running(_member(bus, producer, run, process)):
        await publish(producer, run, 50)
        await seen.all(50)
    assert failures == 0
    assert len(seen.numbers) == 50


async def test_a_batch_is_not_finished_before_the_broker_has_what_was_published_for_it(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    seen, second, unacknowledged = Seen(run), Seen(run), asyncio.get_running_loop().create_future()
    subject = f"acct:{key_in(2, bus, run)}"

    async def process(batch: Batch, work: Work) -> None:
        if seen.take(batch):
            work._unsettled.append(unacknowledged)

    member = _member(bus, producer, run, process)
    async with _running(member):
        await publish(producer, run, 10, subject=subject)
        await seen.one(9)
        await member._commit()
        unacknowledged.set_exception(KafkaTimeoutError())

        async def again() -> bool | None:
            return seen.numbers.count(0) > 1 or None

        await until(again, what="the batch again", within_s=WITHIN_S)
    async with _running(_member(bus, producer, run, second.process)):
        await second.one(9)
    assert set(second.numbers) == set(range(10)), "what was not acknowledged was committed"


async def test_a_record_of_which_too_much_is_published_is_poison(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    seen, letters = Seen(run), list[DeadLetter]()
    subject = f"acct:{run}"

    async def process(batch: Batch, work: Work) -> None:
        for received in seen.take(batch):
            if seen.number(received) == 5:
                await work.publish(topics.REQUESTS, received.record.model_copy(update={"model": "x" * 5_000_000}))

    async with _running(_member(bus, producer, run, process, letters=letters)):
        await publish(producer, run, 10, subject=subject)
        await seen.all(10)

        async def written() -> bool | None:
            return any("MessageSizeTooLargeError" in letter.reason for letter in letters) or None

        await until(written, what="a dead letter", within_s=WITHIN_S)
        # The partition for which it was meant goes on.
        await publish(producer, run, 10, subject=subject, first=10)
        await seen.all(20)
    # Other tests' broken records lie on the same topic.
    assert len([letter for letter in letters if "handler failed" in letter.reason]) == 1


async def test_held_records_are_delivered_to_the_next_owner(bus: BusSettings, producer: Producer, run: str) -> None:
    first, second = Seen(run), Seen(run)
    subject = f"acct:{run}"

    async def hold_one(batch: Batch, work: Work) -> None:
        for received in first.take(batch):
            if first.number(received) == 17:
                work.hold(received)

    async with _running(_member(bus, producer, run, hold_one)):
        await publish(producer, run, 40, subject=subject)
        await first.all(40)
    async with _running(_member(bus, producer, run, second.process)):
        await publish(producer, run, 1, subject=subject, first=40)
        await second.one(40)
    assert second.numbers == list(range(17, 41))


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
    async with _running(_member(bus, producer, run, seen.process, load=load)):
        async with (
            _running(_member(bus, producer, run, seen.process, load=load)),
            _running(_member(bus, producer, run, seen.process, load=load)),
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

    async with _running(_member(bus, producer, run, seen.process, load=load)):
        await seen.all(5)
    assert failures == 0


async def test_a_leader_that_stops_while_another_joins_holds_nobody_up(
    bus: BusSettings, producer: Producer, run: str
) -> None:
    async def process(_batch: Batch, _work: Work) -> None:
        pass

    async with _running(_member(bus, producer, run, process)) as leader:
        async with _running(_member(bus, producer, run, process)):
            pass

        async def alone() -> bool | None:
            return (leader.ready and len(await group_members(bus, run)) == 1) or None

        await until(alone, what="the leader alone")
        successor = _running(_member(bus, producer, run, process))
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
        return _member(bus, producer, run, seen.process, load=loaded(name), instance=name)

    async def shared() -> bool | None:
        return loads == {"one": 2, "two": 1} or None

    async with _running(member("one")):
        async with _running(member("two")):
            await until(shared, what="a share for each")
        before = dict(loads)
        async with _running(member("two")):
            await publish(producer, run, 100)
            await seen.all(100)
    assert loads["two"] == before["two"] + 1
    assert loads["one"] == before["one"], "the other member's partitions were taken from it"


async def test_the_drain_comes_before_the_group_is_left(bus: BusSettings, producer: Producer, run: str) -> None:
    seen, second, held = Seen(run), Seen(run), list[Received[RequestAccepted]]()

    async def process(batch: Batch, work: Work) -> None:
        for received in seen.take(batch):
            work.hold(received)
            held.append(received)

    async def drain(work: Work) -> None:
        for received in held:
            work.finish(received)

    async with _running(_member(bus, producer, run, process, drain=drain)):
        await publish(producer, run, 10)
        await seen.all(10)
    async with _running(_member(bus, producer, run, second.process)):
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

    leaving = _member(bus, producer, run, seen.process, drain=drain, client_id="leaving")
    await leaving.start()

    async def ready() -> bool | None:
        return leaving.ready or None

    await until(ready, what="assignment", within_s=WITHIN_S)
    stopping = asyncio.create_task(leaving.stop())
    async with _running(_member(bus, producer, run, seen.process, client_id="staying")):
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

    leaving = _member(bus, producer, run, seen.process, drain=drain, client_id="leaving", drains_on=topics.ATTEMPTS)
    await leaving.start()
    subjects = [f"acct:{key_in(number, bus, run)}" for number in range(4)]
    for number, subject in enumerate(subjects):
        await publish(producer, run, 1, first=number, subject=subject)
    await seen.all(4)
    stopping = asyncio.create_task(leaving.stop())
    async with _running(_member(bus, producer, run, second.process, client_id="staying")):
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


async def test_a_broken_sequence_is_mended(bus: BusSettings, producer: Producer, run: str) -> None:
    """An idempotent producer of whose records the broker refuses one is refused all that follow."""
    seen = Seen(run)
    subject = f"acct:{key_in(1, bus, run)}"
    await publish(producer, run, 1, subject=subject)
    refused = await producer._kafka.send(topics.REQUESTS.name, b"x" * 5_000_000, key=subject.encode())
    with pytest.raises(MessageSizeTooLargeError):
        await refused
    for number in range(1, 4):
        record = accepted(number, subject=subject, model=f"{run}/{number}")
        await producer.publish_until_acknowledged(topics.REQUESTS, record)
    async with _running(_member(bus, producer, run, seen.process)):
        await seen.all(4)


async def test_who_has_not_caught_up_lets_nothing_gather(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)
    begin_ms = now_ms()
    await publish(producer, run, 40)
    async with _running(_member(bus, producer, run, seen.process, begin_ms=begin_ms, most_records=5, gather_s=3_600.0)):
        await seen.all(40)


async def test_what_comes_after_a_batch_gathers_on_the_log(bus: BusSettings, producer: Producer, run: str) -> None:
    first, second = Seen(run), Seen(run)
    batches: list[int] = []

    async def process(batch: Batch, _work: Work) -> None:
        batches.append(len(second.take(batch)))

    options: dict[str, Any] = {"begin_ms": now_ms()}
    async with _running(_member(bus, producer, run, first.process, gather_s=3_600.0, **options)):
        await publish(producer, run, 1)
        await first.one(0)
        for number in range(1, 20):
            await publish(producer, run, 1, first=number, subject="acct:one")
    # It was stopped while it let them gather, and has committed what it took.
    assert first.numbers == [0]
    async with _running(_member(bus, producer, run, process, **options)):
        await second.one(19)
    assert second.numbers == list(range(1, 20))
    assert batches == [19]
