"""Records of a group: none is lost, none is committed too early, none that is broken stops the others."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from contracts import headers as names
from contracts import topics
from contracts.clock import now_ms
from contracts.headers import header
from libs.bus.processor import RetryLater, Work
from libs.bus.producer import Producer
from libs.bus.reading import read_to_end
from libs.bus.records import DeadLetter
from libs.bus.settings import BusSettings
from tests.integration.members import WITHIN_S, Batch, Seen, member_of, running_member
from tests.integration.publishing import key_in, publish, raw_producer
from tests.stacks import until
from tests.unit.records import accepted


async def test_every_record_is_processed_once_and_in_order(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)
    async with running_member(member_of(bus, producer, run, seen.process)):
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

    async with running_member(member_of(bus, producer, run, process, letters=letters)), raw_producer(bus) as raw:
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
    member = member_of(bus, producer, run, process, letters=letters)
    async with running_member(member):

        async def full() -> bool | None:
            return bool(member._held_back) or None

        await until(full, what="a pause", within_s=WITHIN_S)
        assert member.paused is not None
        assert "ValueError" in member.paused
    assert seen.numbers == []
    member = member_of(bus, producer, run, process, letters=letters)
    async with running_member(member):
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

    async with running_member(member_of(bus, producer, run, process)):
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

    member = member_of(bus, producer, run, process)
    async with running_member(member):
        await publish(producer, run, 10, subject=subject)
        await seen.one(9)
        await member._commit()
        unacknowledged.set_exception(KafkaTimeoutError())

        async def again() -> bool | None:
            return seen.numbers.count(0) > 1 or None

        await until(again, what="the batch again", within_s=WITHIN_S)
    async with running_member(member_of(bus, producer, run, second.process)):
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

    async with running_member(member_of(bus, producer, run, process, letters=letters)):
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

    async with running_member(member_of(bus, producer, run, hold_one)):
        await publish(producer, run, 40, subject=subject)
        await first.all(40)
    async with running_member(member_of(bus, producer, run, second.process)):
        await publish(producer, run, 1, subject=subject, first=40)
        await second.one(40)
    assert second.numbers == list(range(17, 41))


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
    async with running_member(member_of(bus, producer, run, seen.process)):
        await seen.all(4)


async def test_who_has_not_caught_up_lets_nothing_gather(bus: BusSettings, producer: Producer, run: str) -> None:
    seen = Seen(run)
    begin_ms = now_ms()
    await publish(producer, run, 40)
    async with running_member(
        member_of(bus, producer, run, seen.process, begin_ms=begin_ms, most_records=5, gather_s=3_600.0)
    ):
        await seen.all(40)


async def test_what_comes_after_a_batch_gathers_on_the_log(bus: BusSettings, producer: Producer, run: str) -> None:
    first, second = Seen(run), Seen(run)
    batches: list[int] = []

    async def process(batch: Batch, _work: Work) -> None:
        batches.append(len(second.take(batch)))

    options: dict[str, Any] = {"begin_ms": now_ms()}
    async with running_member(member_of(bus, producer, run, first.process, gather_s=3_600.0, **options)):
        await publish(producer, run, 1)
        await first.one(0)
        for number in range(1, 20):
            await publish(producer, run, 1, first=number, subject="acct:one")
    # It was stopped while it let them gather, and has committed what it took.
    assert first.numbers == [0]
    async with running_member(member_of(bus, producer, run, process, **options)):
        await second.one(19)
    assert second.numbers == list(range(1, 20))
    assert batches == [19]
