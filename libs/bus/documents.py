"""The contracts as documents for others: JSON Schemas of all records, and the AsyncAPI description of all topics."""

from collections.abc import Iterable
from typing import Any, Union

import yaml
from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from contracts.services import ServiceSpec
from contracts.topic import Topic
from contracts.topics import TOPICS
from libs.version import VERSION

DESCRIPTION = (
    "The topics of Sluice. Attributes of CloudEvents and the W3C trace context travel in Kafka headers "
    "(contracts/headers.py); a record's value is its payload."
)


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each record, by ``<topic>/<record>``."""
    return {
        f"{topic.name}/{record.__name__}": record.model_json_schema(mode="serialization")
        for topic in TOPICS
        for record in topic.records
    }


def asyncapi() -> str:
    """The AsyncAPI 3.0 document, as FastStream makes it from the records; keys sorted, so that it is the same again."""
    broker = KafkaBroker()
    for topic in TOPICS:
        broker.publisher(topic.name, title=topic.name, description=_describe(topic), schema=_schema(topic))
    document = AsyncAPI(broker, title="Sluice", version=VERSION, description=DESCRIPTION, schema_version="3.0.0")
    text: str = yaml.safe_dump(
        yaml.safe_load(document.to_specification().to_yaml()), sort_keys=True, allow_unicode=True, width=120
    )
    return text


def topic_table(spec: ServiceSpec) -> str:
    """A service's topics, for its README."""
    kinds: list[tuple[str, Iterable[Topic[Any]]]] = [
        *((f"reads, as the group `{group.name}`", group.topics) for group in spec.groups),
        ("holds whole in memory", spec.views),
        ("follows", spec.follows),
        ("recovers from", spec.recovers),
        ("writes", spec.writes),
        ("sees the length of, and no record", spec.watches),
    ]
    rows = [f"| {what} | {', '.join(f'`{topic.name}`' for topic in listed)} |" for what, listed in kinds if listed]
    return "\n".join(["| it | topics |", "|---|---|", *rows]) + "\n"


def _schema(topic: Topic[Any]) -> Any:
    return topic.records[0] if len(topic.records) == 1 else Union[topic.records]  # noqa: UP007


def _describe(topic: Topic[Any]) -> str:
    kept = "compacted" if topic.compacted else f"kept {topic.retention_ms // 3_600_000} h"
    return f"Partitions: {topic.spread.value}; {kept}. Dead letters: {topic.dead_letters}."
