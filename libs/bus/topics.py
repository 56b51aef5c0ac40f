"""Makes the topics of `contracts.topics` exist, and as they should be."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from contracts.topic import DAY_MS, Topic
from contracts.topics import TOPICS
from libs.bus.settings import BusSettings
from libs.bus.topic_plan import Change, Kind, Shape, plan

log = structlog.get_logger()

_SET_FOR_TOPIC = 1
"""DescribeConfigs: where a value comes from."""
LEAST_SEGMENT_MS = 60_000
_BY_THE_BROKER_S_CLOCK = {"message.timestamp.type": "LogAppendTime"}
"""Retention, and reading again what is no older than so, go by records' times. By their writers' clocks, what was
written by a host whose clock is behind would be deleted too early and not read again, and what comes from one whose
clock is more than an hour ahead would be refused."""


class TopicShapeError(Exception):
    """A topic has another count of partitions than this deployment is configured for; the message says what to do."""


def _configuration(topic: Topic[Any]) -> dict[str, str]:
    configuration = {"max.message.bytes": str(topic.max_record_bytes)} | _BY_THE_BROKER_S_CLOCK
    if topic.compacted:
        if topic.forget_ms is None:
            return configuration | {"cleanup.policy": "compact"}
        # Kafka forgets whole segments, and only those that it has ended.
        forgetting = {"retention.ms": str(topic.forget_ms), "segment.ms": str(min(topic.forget_ms, DAY_MS))}
        return configuration | {"cleanup.policy": "compact,delete"} | forgetting
    # Only closed segments are deleted: where little is written, one would be open for a week.
    segment_ms = max(topic.retention_ms // 5, LEAST_SEGMENT_MS)
    return configuration | {
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
        "segment.ms": str(segment_ms),
    }


def _dead_letter_configuration(topic: Topic[Any]) -> dict[str, str]:
    return {
        "max.message.bytes": str(topic.dead_letter_bytes),
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
    } | _BY_THE_BROKER_S_CLOCK


def wanted_shapes(settings: BusSettings) -> list[Shape]:
    """Every topic of the contracts, and its dead-letter queue, as this deployment is configured."""
    return [
        Shape(
            topic.dead_letters if dead_letters else topic.name,
            settings.partitions_of(topic, dead_letters=dead_letters),
            settings.replication_factor,
            _dead_letter_configuration(topic) if dead_letters else _configuration(topic),
        )
        for topic in TOPICS
        for dead_letters in (False, True)
    ]


async def create_topics(settings: BusSettings) -> None:
    """Creates what is missing, dead-letter topics included; leaves what is there.

    Raises:
        KafkaError: the broker is away, or refuses for another reason than that a topic exists.
        TopicShapeError: a topic that is there has another count of partitions. Views would miss keys.
    """
    wanted = wanted_shapes(settings)
    async with _admin(settings) as admin:
        await _create(admin, wanted)
        found = await admin.describe_topics([shape.name for shape in wanted])
        counts = {one["topic"]: len(one["partitions"]) for one in found}
    for shape in wanted:
        _check_shape(shape.name, counts.get(shape.name, 0), shape.partitions)


async def plan_topics(settings: BusSettings) -> list[Change]:
    """What `apply_topics` would change. Raises KafkaError where the broker is away."""
    async with _admin(settings) as admin:
        return list(plan(wanted_shapes(settings), await _found(admin)))


async def apply_topics(settings: BusSettings, changes: Collection[Change]) -> None:
    """Creates topics and sets what differs; what a topic was given beside stays.

    Raises:
        KafkaError: the broker is away, or refuses.
    """
    shapes = {shape.name: shape for shape in wanted_shapes(settings)}
    new = {change.topic for change in changes if change.kind is Kind.CREATE}
    changed = {change.topic for change in changes if change.kind is Kind.SET}
    async with _admin(settings) as admin:
        if new:
            await _create(admin, [shapes[name] for name in sorted(new)])
        if changed:
            # This request replaces all that was set, so it carries what is to stay.
            kept = await _configurations(admin, changed, set_only=True)
            resources = [
                ConfigResource(ConfigResourceType.TOPIC, name, {**kept[name], **shapes[name].configuration})
                for name in sorted(changed)
            ]
            for answer in await admin.alter_configs(resources):
                for code, message, _kind, name in answer.resources:
                    if code:
                        raise for_code(code)(f"topic {name}: {message}")


@asynccontextmanager
async def _admin(settings: BusSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, shapes: Iterable[Shape]) -> None:
    topics = [
        NewTopic(shape.name, shape.partitions, shape.replication, topic_configs=dict(shape.configuration))
        for shape in shapes
    ]
    answer = await admin.create_topics(topics)
    for name, code, *_ in answer.topic_errors:
        error: type[KafkaError] = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"topic {name}")


async def _found(admin: AIOKafkaAdminClient) -> dict[str, Shape]:
    names = set(await admin.list_topics()) & {one for topic in TOPICS for one in (topic.name, topic.dead_letters)}
    configurations = await _configurations(admin, names) if names else {}
    return {
        one["topic"]: Shape(
            one["topic"],
            len(one["partitions"]),
            min(len(partition["replicas"]) for partition in one["partitions"]),
            configurations[one["topic"]],
        )
        for one in (await admin.describe_topics(sorted(names)) if names else [])
        if one["partitions"]  # It was deleted after the list was made.
    }


async def _configurations(
    admin: AIOKafkaAdminClient, names: Collection[str], *, set_only: bool = False
) -> dict[str, dict[str, str]]:
    """By topic.

    Args:
        set_only: what was set for the topic itself, without the cluster's defaults.
    """
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)]
    return {
        name: {
            entry[0]: entry[1]
            for entry in entries
            if entry[1] is not None and (not set_only or entry[3] == _SET_FOR_TOPIC)
        }
        for answer in await admin.describe_configs(resources)
        for _code, _message, _kind, name, entries in answer.resources
    }


def _check_shape(name: str, found: int, wanted: int) -> None:
    if found and found != wanted:
        raise TopicShapeError(
            f"topic {name} has {found} partitions, not {wanted}: something else created it, or SLUICE_KAFKA_PARTITIONS "
            "or SLUICE_KAFKA_REPLY_PARTITIONS has changed. Delete it and set up again, or set the variable back."
        )
