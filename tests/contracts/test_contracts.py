"""Generated documents are current, released schemas stay readable, and records survive their bytes."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from contracts import headers, services, topics
from contracts.charges import ChargePosted
from contracts.prompts import PromptSubmitted
from contracts.record import Record, ReplyAddress, StateRecord, Value
from contracts.replies import Outcome
from contracts.services import SERVICES, Group, ServiceSpec
from contracts.topic import Spread, Topic
from contracts.topics import BY_NAME, TOPICS
from contracts.usage import TokenUsage
from deploy.local.home import ROOT
from libs.bus.documents import asyncapi, schemas
from libs.bus.settings import BusSettings
from services.cli.contracts import readme, with_table
from services.console.openapi import document
from services.ingress import openapi as gateway
from tests.contracts.compatibility import breaks
from tests.unit.records import accepted, decisions, prompt, request_id, route

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
    assert (FOLDER / "generated/gateway-openapi.json").read_text() == gateway.text(), "run ./sluice contracts"


def test_no_default_of_a_record_s_field_is_copied_each_time_it_is_decoded() -> None:
    """See `contracts.record.empty`."""
    values = [Value]
    for kind in values:
        values += (one for one in kind.__subclasses__() if one.__module__.startswith("contracts."))
        assert not [name for name, field in kind.model_fields.items() if field.default in ([], {})], kind


def test_readmes_list_what_services_read_and_write() -> None:
    for spec in SERVICES:
        text = readme(spec).read_text()
        assert with_table(text, spec) == text, "run ./sluice contracts"


@pytest.mark.parametrize("spec", SERVICES, ids=lambda spec: spec.name)
def test_a_service_names_the_topics_and_groups_of_its_spec_and_no_others(spec: ServiceSpec) -> None:
    """What it does not list it cannot read or publish; what it lists and never names, it does not need."""
    folder = ROOT / "services" / spec.name.replace("-", "_")
    source = "".join(file.read_text() for file in folder.rglob("*.py") if "migrations" not in file.parts)
    constants = {topic: name for name, topic in vars(topics).items() if isinstance(topic, Topic)}
    named = set(re.findall(r"topics\.([A-Z_]{2,})", source))
    if "topics.replies_of(" in source:
        named |= {"REPLIES", "KEPT_REPLIES"}
    grouped = {topic for group in spec.groups for topic in group.topics}
    watched = frozenset(spec.watches)
    assert named <= {constants[topic] for topic in spec.reads | frozenset(spec.writes) | watched}
    assert {constants[topic] for topic in (spec.reads - grouped) | frozenset(spec.writes) | watched} <= named
    listed = (*spec.groups, *spec.watches_groups)
    groups = {name for name, group in vars(services).items() if isinstance(group, Group) and group in listed}
    assert set(re.findall(r"\b([A-Z_]+_GROUP)\b", source)) == groups


def test_prompts_are_read_by_the_relay_alone_and_provider_keys_ordered_by_the_console() -> None:
    assert {spec.name for spec in SERVICES if topics.PROMPTS in spec.reads} == {"relay"}
    assert {spec.name for spec in SERVICES if topics.CONTENTS in spec.reads} == {"sinks"}
    assert {spec.name for spec in SERVICES if topics.VAULT_COMMANDS in spec.reads} == {"key-vault"}
    for topic in (topics.POLICY_DECISIONS, topics.QUOTA_DECISIONS, topics.CREDENTIAL_GRANTS):
        assert len([spec for spec in SERVICES if topic in spec.writes]) == 1, "a verdict has one writer"


@pytest.mark.parametrize("topic", topics.TOPICS, ids=lambda topic: topic.name)
def test_every_record_has_what_its_event_needs(topic: Topic[Any]) -> None:
    for kind in topic.records:
        assert kind.event_subject is not Record.event_subject
        if topic.compacted:
            assert issubclass(kind, StateRecord)
            assert kind.state_key is not StateRecord.state_key


def test_a_consumer_needs_the_contracts_alone(tmp_path: Path) -> None:
    """``pip install ./contracts``, then a typed record from bytes, with nothing else of ours on the path."""
    source = tmp_path / "source"
    shutil.copytree(FOLDER, source, ignore=shutil.ignore_patterns("__pycache__", "generated", "released", "build"))
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(source)]
    subprocess.run([*command, "--python", sys.executable], check=True)
    charge = ChargePosted(
        charge_id=request_id(1),
        subject="acct:a",
        model="m",
        outcome=Outcome.COMPLETED,
        tokens=TokenUsage(output_tokens=3),
        estimated=False,
        byok=False,
        cost_microdollars=7,
        price_version="1",
        posted_at_ms=1,
    )
    script = (
        "import sys; from contracts import topics; from contracts.decoding import decode\n"
        "charge = decode(topics.CHARGES, sys.stdin.buffer.read(), [('ce_type', b'dev.sluice.ChargePosted')])\n"
        "print(type(charge).__module__, charge.tokens.output_tokens, charge.cost_microdollars)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=charge.encode(),
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.stdout.split() == [b"contracts.charges", b"3", b"7"]


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: f"{file.parts[-3]}/{file.parts[-2]}/{file.stem}")
def test_released_schemas_stay_compatible(file: Any) -> None:
    name = f"{file.parent.name}/{file.stem}"
    assert name in CURRENT, f"{name} was released and is gone"
    assert breaks(json.loads(file.read_text()), CURRENT[name]) == []


def test_there_is_a_baseline_to_be_compatible_with() -> None:
    """A record that came since the last release is in none yet; one that was in it may not go (see above)."""
    assert {f"{file.parent.name}/{file.stem}" for file in RELEASED} <= set(CURRENT)
    assert len(RELEASED) >= len(TOPICS)


def test_the_compatibility_check_finds_what_breaks() -> None:
    released = CURRENT["gateway.requests.v1/RequestAccepted"]

    def changed(change: Any) -> list[str]:
        schema = copy.deepcopy(released)
        change(schema)
        return breaks(released, schema)

    assert changed(lambda schema: schema["properties"].update(new={"type": "string", "default": ""})) == []
    assert changed(lambda schema: schema.update(description="in other words")) == []
    assert changed(lambda schema: schema["properties"].pop("task_id"))
    assert changed(lambda schema: schema["required"].append("task_id"))
    assert changed(lambda schema: schema["required"].remove("model"))
    assert changed(lambda schema: schema["properties"]["stream"].update(type="string"))
    assert changed(lambda schema: schema["properties"]["allow_fallbacks"].update(default=False))
    assert changed(lambda schema: schema["properties"]["task_id"].pop("default"))
    assert changed(lambda schema: schema["$defs"]["Surface"]["enum"].pop())
    assert changed(lambda schema: schema["$defs"]["Caller"]["properties"]["ip"].update(default="0.0.0.0"))
    assert changed(lambda schema: schema["$defs"]["Caller"].setdefault("required", []).append("ip"))
    assert changed(lambda schema: schema["$defs"]["Caller"]["properties"].pop("ip"))
    assert changed(lambda schema: schema["properties"]["deadline_ms"].update(minimum=5))


def test_asyncapi_names_every_topic_and_dead_letter_queue() -> None:
    text = asyncapi()
    document = yaml.safe_load(text)
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == set(BY_NAME)
    assert all(topic.dead_letters in text for topic in TOPICS)


def test_joined_topics_have_one_spread() -> None:
    keyed = {topic.name for topic in TOPICS if topic.spread is Spread.KEYED}
    assert {"gateway.requests.v1", "gateway.quota-decisions.v1", "quota.state.v1"} <= keyed
    assert {"gateway.prompts.v1", "gateway.routes.v1", "gateway.attempts.v1"} <= keyed


@pytest.mark.parametrize("record", [accepted(), *decisions(), prompt(), route()], ids=lambda r: type(r).__name__)
def test_records_survive_their_bytes_and_newer_fields(record: Record) -> None:
    kind = type(record)
    raw = record.encode()
    assert kind.decode(raw, record.event_subject) == record
    newer = {**json.loads(raw), "from_the_future": {"a": 1}}
    again = kind.decode(json.dumps(newer).encode(), record.event_subject)
    if isinstance(record, PromptSubmitted):
        assert isinstance(again, PromptSubmitted)
        assert again.body == newer, "a client's body is not ours to change"
        return
    assert again == record
    name = next(name for name in CURRENT if name.endswith(f"/{kind.__name__}"))
    schema = copy.deepcopy(CURRENT[name])
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(record.model_dump_json()))


def test_a_prompt_is_in_no_repr() -> None:
    secret = prompt().model_copy(update={"content": b'{"messages": "canary"}'})
    assert "canary" not in repr(secret)
    assert "canary" not in str(secret)
    assert "canary" not in f"{[secret]}"


def test_headers_are_cloudevents_in_binary_mode() -> None:
    made = headers.event_headers(
        type_name="RequestAccepted",
        event_id="e",
        source="/services/ingress",
        subject="s",
        media_type="application/json",
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


def test_no_batch_is_larger_than_what_the_smallest_topic_takes() -> None:
    assert BusSettings().producing()["max_batch_size"] < min(topic.max_record_bytes for topic in TOPICS)
