"""Makes the topics of `contracts.topics` exist."""

from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from contracts.topic import DAY_MS, Topic
from contracts.topics import TOPICS
from libs.bus.settings import BusSettings

log = structlog.get_logger()


class TopicShapeError(Exception):
    """A topic has another count of partitions than this deployment is configured for; the message says what to do."""


def _configuration(topic: Topic[Any]) -> dict[str, str]:
    configuration = {"max.message.bytes": str(topic.max_record_bytes)}
    if topic.compacted:
        if topic.forget_ms is None:
            return configuration | {"cleanup.policy": "compact"}
        # Kafka forgets whole segments, and only those that it has ended.
        forgetting = {"retention.ms": str(topic.forget_ms), "segment.ms": str(min(topic.forget_ms, DAY_MS))}
        return configuration | {"cleanup.policy": "compact,delete"} | forgetting
    return configuration | {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


def _dead_letter_configuration(topic: Topic[Any]) -> dict[str, str]:
    return {
        "max.message.bytes": str(topic.dead_letter_bytes),
        "cleanup.policy": "delete",
        "retention.ms": str(topic.retention_ms),
    }


async def create_topics(settings: BusSettings) -> None:
    """Creates what is missing, dead-letter topics included; leaves what is there.

    Raises:
        KafkaError: the broker is away, or refuses for another reason than that a topic exists.
        TopicShapeError: a topic that is there has another count of partitions. Views would miss keys.
    """
    wanted = [
        NewTopic(
            topic.dead_letters if dead_letters else topic.name,
            settings.partitions_of(topic, dead_letters=dead_letters),
            settings.replication_factor,
            topic_configs=_dead_letter_configuration(topic) if dead_letters else _configuration(topic),
        )
        for topic in TOPICS
        for dead_letters in (False, True)
    ]
    admin = AIOKafkaAdminClient(**settings.connection())
    await admin.start()
    try:
        answer = await admin.create_topics(wanted)
        for name, code, *_ in answer.topic_errors:
            error: type[KafkaError] = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"topic {name}")
        counts = {topic.name: topic.num_partitions for topic in wanted}
        for found in await admin.describe_topics(list(counts)):
            _check_shape(found["topic"], len(found["partitions"]), counts[found["topic"]])
    finally:
        await admin.close()


def _check_shape(name: str, found: int, wanted: int) -> None:
    if found and found != wanted:
        raise TopicShapeError(
            f"topic {name} has {found} partitions, not {wanted}: something else created it, or SLUICE_KAFKA_PARTITIONS "
            "or SLUICE_KAFKA_REPLY_PARTITIONS has changed. Delete it and set up again, or set the variable back."
        )
