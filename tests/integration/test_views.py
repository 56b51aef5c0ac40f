"""Views, upkeep, topics and reading to the end on a real broker."""

import asyncio
import secrets
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.control import AccountChanged
from contracts.services import POLICY
from libs.bus.dead_letters import DeadLetters
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.settings import BusSettings
from libs.bus.topics import TopicShapeError, create_topics
from libs.bus.upkeep import Upkeep
from libs.bus.views import View, ViewReader
from tests.integration.publishing import TRUST, raw_producer
from tests.stacks import until
from tests.unit.records import accepted


async def _put(producer: Producer, account_id: str, epoch: int | None) -> None:
    if epoch is None:
        await settle([await producer.delete(topics.ACCOUNTS, account_id)])
    else:
        record = AccountChanged(account_id=account_id, token_epoch=epoch)
        await settle([await producer.publish(topics.ACCOUNTS, record)])


async def test_a_view_is_ready_only_when_it_is_whole_and_then_follows(bus: BusSettings, producer: Producer) -> None:
    run = secrets.token_hex(6)
    for number in range(300):
        await _put(producer, f"{run}-{number}", number)
    await _put(producer, f"{run}-0", 7)
    await _put(producer, f"{run}-1", None)
    async with raw_producer(bus) as raw:
        await raw.send_and_wait(topics.ACCOUNTS.name, b"{", key=f"{run}-2".encode())
    view = View(topics.ACCOUNTS)
    reader = ViewReader(bus, DeadLetters(producer, "tests"), [view], TRUST)
    assert not reader.ready
    await reader.start()
    await reader.wait_ready()
    mine = {key: record.token_epoch for key, record in view.entries.items() if key.startswith(run)}
    assert mine == {f"{run}-0": 7} | {f"{run}-{number}": number for number in range(2, 300)}
    await _put(producer, f"{run}-0", None)

    async def deleted() -> bool | None:
        return f"{run}-0" not in view.entries or None

    await until(deleted, what="the deletion")
    await reader.stop()


async def test_upkeep_brings_back_what_is_missing_and_takes_its_own_away(bus: BusSettings, producer: Producer) -> None:
    run = secrets.token_hex(6)
    view = View(topics.ACCOUNTS)
    reader = ViewReader(bus, DeadLetters(producer, "tests"), [view], TRUST)
    await reader.start()
    await reader.wait_ready()
    upkeep = Upkeep(producer, view, lambda: {run: AccountChanged(account_id=run, token_epoch=1)})
    await upkeep.start()

    async def there() -> bool | None:
        return run in view.entries or None

    async def gone() -> bool | None:
        return run not in view.entries or None

    await until(there, what="the record")
    await _put(producer, run, None)
    await until(gone, what="the deletion by somebody else")
    await until(there, what="the record again")
    await upkeep.stop()
    await until(gone, what="the deletion at the end")
    await reader.stop()


async def test_upkeep_covers_a_record_that_is_not_believed(bus: BusSettings, producer: Producer) -> None:
    """Compaction would keep the liar's record, and a reader that starts then would know of none."""
    run = secrets.token_hex(6)
    view = View(topics.ACCOUNTS)
    reader = ViewReader(bus, DeadLetters(producer, "tests"), [view], TRUST)
    await reader.start()
    await reader.wait_ready()
    upkeep = Upkeep(producer, view, lambda: {run: AccountChanged(account_id=run, token_epoch=1)})
    await upkeep.start()

    async def there() -> bool | None:
        return run in view.entries or None

    async def newest_is_believed() -> bool | None:
        records = [raw async for raw in read_to_end(bus, topics.ACCOUNTS) if raw.key == run.encode()]
        return (len(records) > 2 and records[-1].value not in (None, b"{}")) or None

    await until(there, what="the record")
    async with raw_producer(bus) as raw:
        await raw.send_and_wait(topics.ACCOUNTS.name, b"{}", key=run.encode())
    await until(newest_is_believed, what="the record again", within_s=10)
    await upkeep.stop()
    await reader.stop()


async def test_a_service_publishes_what_its_spec_lists_and_nothing_else(bus: BusSettings) -> None:
    producer = Producer(bus, POLICY)
    await producer.start()
    with pytest.raises(PermissionError, match=r"policy may not write gateway\.requests\.v1"):
        await producer.publish(topics.REQUESTS, accepted())
    await producer.stop()


async def test_topics_are_created_once(bus: BusSettings) -> None:
    await create_topics(bus)
    await create_topics(bus)
    for topic in topics.TOPICS:
        async for _raw in read_to_end(bus, topic):
            break


async def test_who_asks_for_a_topic_does_not_create_it(bus: BusSettings, producer: Producer) -> None:
    """A broker that creates topics by itself gives them its own count of partitions, and views would miss keys."""
    absent = replace(topics.REQUESTS, name=f"tests.absent-{secrets.token_hex(6)}")
    with pytest.raises((TimeoutError, KafkaError)):
        async with asyncio.timeout(2):
            await producer._kafka.partitions_for(absent.name)
    admin = AIOKafkaAdminClient(**bus.connection())
    await admin.start()
    await admin.describe_topics([absent.name])
    assert absent.name not in await admin.list_topics()
    await admin.close()


async def test_topics_of_another_shape_are_an_error(bus: BusSettings) -> None:
    more = bus.model_copy(update={"partitions": bus.partitions + 1})
    with pytest.raises(TopicShapeError, match=f"has {bus.partitions} partitions, not {bus.partitions + 1}"):
        await create_topics(more)


async def test_an_end_that_is_never_reached_is_an_error(bus: BusSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that lists an end which it has not must not hold up an assignment for ever, and in silence."""
    listed = AIOKafkaConsumer.end_offsets

    async def beyond(self: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> dict[Any, int]:
        return {partition: end + 1 for partition, end in (await listed(self, partitions)).items()}

    monkeypatch.setattr(AIOKafkaConsumer, "end_offsets", beyond)
    monkeypatch.setattr("libs.bus.reading.MOVES_WITHIN_S", 1.0)
    with pytest.raises(KafkaError, match=rf"not read to the end: .*{topics.QUOTA_STATE.name}-\d at \d+ of \d+"):
        async for _raw in read_to_end(bus, topics.QUOTA_STATE):
            pass
