"""Generated documents are current, released schemas stay readable, and records survive their bytes."""

import copy
import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from contracts import headers, topics
from contracts.access import SERVICES
from contracts.record import Record, ReplyAddress
from contracts.topics import BY_NAME, TOPICS, Spread
from deploy.local.home import ROOT
from libs.bus.documents import acls, asyncapi, schemas
from services.console.openapi import document
from tests.contracts.compatibility import breaks
from tests.unit.records import accepted, decisions, prompt, route

FOLDER = ROOT / "contracts"
RELEASED = sorted((FOLDER / "released").glob("*/*/*.json"))
CURRENT = schemas()


def test_generated_documents_are_current() -> None:
    for name, schema in CURRENT.items():
        assert json.loads((FOLDER / "generated/schemas" / f"{name}.json").read_text()) == schema, (
            "run ./sluice contracts"
        )
    assert len(list((FOLDER / "generated/schemas").rglob("*.json"))) == len(CURRENT)
    assert (FOLDER / "generated/asyncapi.yaml").read_text() == asyncapi(), "run ./sluice contracts"
    assert (FOLDER / "generated/management-openapi.json").read_text() == document(), "run ./sluice contracts"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_touches_the_topics_that_it_may_and_no_others(service: str) -> None:
    folder = ROOT / "services" / service.replace("-", "_")
    source = "".join(file.read_text() for file in folder.glob("*.py"))
    access = SERVICES[service]
    named = set(re.findall(r"topics\.([A-Z_]{2,})", source))
    if "publish_decisions" in source:
        named.add("DECISIONS")
    constants = {topic: name for name, topic in vars(topics).items() if isinstance(topic, topics.Topic)}
    assert named == {constants[topic] for topic in access.reads | access.writes}
    groups = re.findall(r'(?:group=|GROUP = )"([a-z-]+)"', source)
    assert set(groups) == access.groups


def test_prompts_are_read_by_the_relay_alone_and_provider_keys_ordered_by_the_console() -> None:
    assert {name for name, access in SERVICES.items() if topics.PROMPTS in access.reads} == {"relay"}
    assert {name for name, access in SERVICES.items() if topics.VAULT_COMMANDS in access.reads} == {"key-vault"}
    assert (ROOT / "deploy/kafka/acls.sh").read_text() == acls(), "run ./sluice contracts"
    assert subprocess.run(["sh", "-n", str(ROOT / "deploy/kafka/acls.sh")], check=False).returncode == 0


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: f"{file.parts[-3]}/{file.parts[-2]}/{file.stem}")
def test_released_schemas_stay_compatible(file: Any) -> None:
    name = f"{file.parent.name}/{file.stem}"
    assert name in CURRENT, f"{name} was released and is gone"
    assert breaks(json.loads(file.read_text()), CURRENT[name]) == []


def test_every_record_is_released() -> None:
    assert {f"{file.parent.name}/{file.stem}" for file in RELEASED} == set(CURRENT)


def test_the_compatibility_check_finds_what_breaks() -> None:
    released = CURRENT["gateway.requests.v1/RequestAccepted"]

    def changed(change: Any) -> list[str]:
        schema = copy.deepcopy(released)
        change(schema)
        return breaks(released, schema)

    assert changed(lambda schema: schema["properties"].update(new={"type": "string"})) == []
    assert changed(lambda schema: schema["properties"].pop("task_id"))
    assert changed(lambda schema: schema["required"].append("task_id"))
    assert changed(lambda schema: schema["required"].remove("model"))
    assert changed(lambda schema: schema["properties"]["stream"].update(type="string"))
    assert changed(lambda schema: schema["$defs"]["Caller"]["properties"].pop("ip"))
    assert changed(lambda schema: schema["properties"]["deadline_ms"].update(minimum=5))


def test_asyncapi_names_every_topic_and_dead_letter_queue() -> None:
    document = yaml.safe_load(asyncapi())
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == set(BY_NAME)
    assert all(topic.dead_letters in asyncapi() for topic in TOPICS)


def test_joined_topics_have_one_spread() -> None:
    keyed = {topic.name for topic in TOPICS if topic.spread is Spread.KEYED}
    assert {"gateway.requests.v1", "gateway.decisions.v1", "quota.state.v1"} <= keyed
    assert {"gateway.prompts.v1", "gateway.routes.v1", "gateway.attempts.v1"} <= keyed


@pytest.mark.parametrize("record", [accepted(), *decisions(), prompt(), route()], ids=lambda r: type(r).__name__)
def test_records_survive_their_bytes_and_newer_fields(record: Record) -> None:
    kind = type(record)
    raw = record.model_dump_json(exclude_defaults=True)
    assert kind.model_validate_json(raw) == record
    newer = {**json.loads(raw), "from_the_future": {"a": 1}}
    assert kind.model_validate_json(json.dumps(newer)) == record
    name = next(name for name in CURRENT if name.endswith(f"/{kind.__name__}"))
    schema = copy.deepcopy(CURRENT[name])
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(record.model_dump_json()))


def test_a_prompt_is_in_no_repr() -> None:
    secret = prompt().model_copy(update={"body": {"messages": "canary"}})
    assert "canary" not in repr(secret)
    assert "canary" not in str(secret)
    assert "canary" not in f"{[secret]}"


def test_headers_are_cloudevents_in_binary_mode() -> None:
    made = headers.event_headers(
        type_name="RequestAccepted",
        event_id="e",
        source="/services/ingress",
        subject="s",
        traceparent="00-1-2-01",
        reply_to="0/i",
    )
    assert {
        "ce_specversion",
        "ce_type",
        "ce_source",
        "ce_id",
        "ce_subject",
        "content-type",
        "traceparent",
    } <= {name for name, _ in made}
    assert headers.header(made, "ce_type") == "dev.sluice.RequestAccepted"
    assert headers.header([("x", b"\xff")], "x") == "�"
    assert headers.header([], "x") is None


def test_reply_addresses_survive_their_header_form() -> None:
    address = ReplyAddress(partition=3, ingress_id="ingress-a/b")
    assert ReplyAddress.decode(address.encode()) == address
    for wrong in ("", "x/i", "-1/i"):
        with pytest.raises(ValueError, match=r".*"):
            ReplyAddress.decode(wrong)
