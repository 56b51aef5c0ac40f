"""Topics as code, on a real broker."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts import topics
from contracts.clock import now_ms
from libs.bus.reading import read_to_end
from libs.bus.settings import BusSettings
from libs.bus.topic_plan import Change, Kind
from libs.bus.topics import apply_topics, plan_topics
from tests.stacks import NotYet, until


async def test_what_differs_is_shown_and_set_and_what_was_set_beside_stays(bus: BusSettings) -> None:
    assert await plan_topics(bus) == []
    admin = AIOKafkaAdminClient(**bus.connection())
    await admin.start()
    try:
        name = topics.KEY_USES.name
        changed = {"retention.ms": "60000", "max.message.bytes": "4194304", "min.insync.replicas": "1"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, changed)])
        await admin.delete_topics([topics.KEY_USES.dead_letters])
        expected = {(Kind.SET, name), (Kind.CREATE, topics.KEY_USES.dead_letters)}

        async def planned() -> list[Change] | NotYet:
            found = await plan_topics(bus)
            return found if {(one.kind, one.topic) for one in found} == expected else NotYet(str(found))

        # The controller has it before the broker does.
        changes = await until(planned, what="a plan of what was changed")
        found = {change.what: (change.found, change.wanted) for change in changes if change.kind is Kind.SET}
        # All that the topic had of its own is gone with it: this call sets, and does not add.
        assert found.keys() == {"retention.ms", "segment.ms", "message.timestamp.type"}
        assert found["retention.ms"] == ("60000", str(topics.KEY_USES.retention_ms))
        await apply_topics(bus, changes)

        async def nothing_left() -> bool | NotYet:
            found = await plan_topics(bus)
            return not found or NotYet(str(found))

        await until(nothing_left, what="topics as they should be")
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        ((_code, _message, _kind, _name, entries),) = answer.resources
        assert [entry[3] for entry in entries if entry[0] == "min.insync.replicas"] == [1], "it was set for the topic"
    finally:
        await admin.close()
    wider = bus.model_copy(update={"partitions": 8})
    assert {change.what for change in await plan_topics(wider)} == {"partitions"}
    assert {change.kind for change in await plan_topics(wider)} == {Kind.IMPOSSIBLE}


@pytest.mark.parametrize("off_s", [-3_600, -86_400, 3_600, 86_400])
async def test_a_record_has_the_time_of_the_log_whatever_clock_its_writer_has(bus: BusSettings, off_s: int) -> None:
    before_ms = now_ms() - 1_000
    producer = AIOKafkaProducer(**bus.connection())
    await producer.start()
    try:
        written = await producer.send_and_wait(
            topics.KEY_USES.name, b"x", key=b"clock", partition=0, timestamp_ms=now_ms() + off_s * 1000
        )
    finally:
        await producer.stop()
    read = [raw async for raw in read_to_end(bus, topics.KEY_USES, partitions=[0], since_ms=before_ms)]
    (found,) = [raw for raw in read if raw.offset == written.offset]
    assert before_ms <= found.timestamp <= now_ms() + 1_000
