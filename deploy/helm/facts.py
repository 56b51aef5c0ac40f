"""What the chart knows of services and topics, from the contracts; `./sluice contracts` writes it."""

import json
from pathlib import Path
from typing import Any

from contracts.services import SERVICES
from contracts.topic import Spread
from contracts.topics import BY_NAME
from deploy.local.postgres import SCHEMAS
from deploy.local.stack import OPTIONAL
from deploy.local.stack import SERVICES as RUNNING
from libs.bus.access import EVERYBODY, entries, user_of
from libs.bus.settings import BusSettings
from libs.bus.topics import wanted_shapes

FILES = Path(__file__).parent / "sluice" / "files"
_OUTWARD = ("relay", "key-vault", "console", "ingress", "sinks")
"""Who calls what is outside: providers, a KMS, an identity provider, receivers of records."""


def write(folder: Path = FILES) -> None:
    """Writes the files; YAML is a superset of JSON."""
    for name, content in (("services", services()), ("topics", topics()), ("users", users())):
        (folder / f"{name}.yaml").write_text(json.dumps(content, indent=1) + "\n")


def services() -> list[dict[str, Any]]:
    """What each service needs."""
    return [
        {
            "name": spec.name,
            "module": f"services.{spec.name.replace('-', '_')}",
            "groups": [
                {"name": group.name, "topic": group.topics[0].name, "topics": [topic.name for topic in group.topics]}
                for group in spec.groups
                # Groups of a family have names of their own, which no chart knows.
                if not group.family
            ],
            "signs": spec.signs,
            "signers": spec.signers,
            "database": spec.name in SCHEMAS,
            "outward": spec.name in _OUTWARD,
            "optional": spec.name in OPTIONAL,
        }
        for spec in SERVICES
        if spec.name in (*RUNNING, *OPTIONAL)
    ]


def topics() -> list[dict[str, Any]]:
    """Every topic and dead-letter queue; how many partitions a spread has is a value of the chart."""
    found = []
    for shape in wanted_shapes(BusSettings()):
        topic = BY_NAME.get(shape.name)
        spread = topic.spread if topic else Spread.SINGLE
        found.append({"name": shape.name, "spread": spread.value, "configuration": dict(shape.configuration)})
    return found


def users() -> list[dict[str, Any]]:
    """Everybody on the log, outsiders too, and what they may do there."""
    return [
        {
            "name": spec.name,
            "user": user_of(spec),
            "acls": [
                {
                    "type": entry.resource.name.lower(),
                    "name": entry.name,
                    # Strimzi says "prefix" where Kafka says "prefixed".
                    "pattern": entry.pattern.name.lower().removesuffix("ed"),
                    "operations": sorted({entry.operation.name.title(), "Describe"}, reverse=True),
                }
                for entry in entries([spec])
            ],
        }
        for spec in EVERYBODY
    ]
