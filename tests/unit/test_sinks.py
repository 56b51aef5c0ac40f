"""Sinks: each keeps the protocol, as the kit tries it; webhooks are what Standard Webhooks says."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.headers import RETRIED_FOR
from contracts.topics import CHARGES
from libs.bus.records import Received
from libs.config.sinks import EventSinkConfig, SinkConfig
from libs.outbound.addresses import is_public
from libs.outbound.signatures import secrets_of
from services.sinks.core.backoff import MOST_S, pause_s
from services.sinks.core.events import event_of
from services.sinks.core.webhooks import Verdict, body_of, headers_of, verdict_of
from services.sinks.kit import check_sink, sample
from services.sinks.making import SinkConfigError, make_sink
from services.sinks.opening import Opening
from services.sinks.sink import RefusedError, Sink, UnavailableError
from tests.receivers import HttpReceiver, IdsOf, MailReceiver, row_ids, span_ids, webhook_ids
from tests.unit.records import NOW_MS, posted

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ENVIRONMENT = {"SLUICE_SINK_SECRET": SECRET, "SLUICE_SINK_PUBLIC": "pk", "SLUICE_SINK_PASSWORD": "pw"}
CONFIG: TypeAdapter[SinkConfig] = TypeAdapter(SinkConfig)
EVENTS: TypeAdapter[EventSinkConfig] = TypeAdapter(EventSinkConfig)
HTTP: dict[str, tuple[dict[str, Any], IdsOf]] = {
    "webhook": ({"secret": "env:SLUICE_SINK_SECRET"}, webhook_ids),
    "clickhouse": ({"table": "events", "password": "env:SLUICE_SINK_PASSWORD"}, row_ids),
    "langfuse": (
        {"public_key": "env:SLUICE_SINK_PUBLIC", "secret_key": "env:SLUICE_SINK_PASSWORD"},
        span_ids,
    ),
}


def _sink(**config: Any) -> Sink:
    return make_sink("one", EVENTS.validate_python(config), ENVIRONMENT)


@pytest.mark.parametrize("kind", HTTP)
async def test_sinks_of_http_keep_the_protocol(kind: str) -> None:
    options, ids_of = HTTP[kind]
    receiver = HttpReceiver(ids_of)
    async with receiver.running():
        await check_sink(_sink(kind=kind, url=receiver.url, private=True, **options), receiver)


async def test_mail_keeps_the_protocol() -> None:
    receiver = MailReceiver()
    receiver.start()
    try:
        sink = _sink(
            kind="email",
            host="127.0.0.1",
            port=receiver.port,
            security="none",
            sender="a@b.example",
            to=["c@d.example"],
        )
        await check_sink(sink, receiver)
        assert "Subject: [Sluice] charge.posted" in receiver.mails[0]
    finally:
        receiver.stop()


async def test_a_webhook_is_signed_and_its_signature_covers_id_time_and_body() -> None:
    receiver = HttpReceiver(webhook_ids)
    async with receiver.running():
        sink = _sink(kind="webhook", url=receiver.url, private=True, secret="env:SLUICE_SINK_SECRET")
        await sink.start()
        await sink.deliver([sample()])
        await sink.stop()
    ((headers, body, _query),) = receiver.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body).keys() == {"type", "timestamp", "data"}


async def test_of_a_batch_only_what_was_not_taken_comes_again() -> None:
    receiver = HttpReceiver(webhook_ids)
    receiver.refused.add(sample(2).id)
    async with receiver.running():
        sink = _sink(kind="webhook", url=receiver.url, private=True, secret="env:SLUICE_SINK_SECRET")
        await sink.start()
        with pytest.raises(RefusedError) as refused:
            await sink.deliver([sample(1), sample(2), sample(3)])
        await sink.stop()
    assert refused.value.delivered == {sample(1).id, sample(3).id} == set(receiver.ids)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "localhost"])
async def test_addresses_that_are_not_public_are_not_called(host: str) -> None:
    receiver = HttpReceiver(webhook_ids)
    async with receiver.running():
        url = f"http://{host}:{receiver.port}/"
        # http, so that nothing but the address is in the way.
        allowed = EVENTS.validate_python(
            {"kind": "webhook", "url": url, "secret": "env:SLUICE_SINK_SECRET", "private": True}
        )
        sink = make_sink("one", allowed.model_copy(update={"private": False}), ENVIRONMENT)
        await sink.start()
        with pytest.raises(UnavailableError):
            await sink.deliver([sample()])
        await sink.stop()
    assert not receiver.requests


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "fc00::1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_what_is_public() -> None:
    assert is_public("93.184.216.34") and is_public("2606:4700::1111") and not is_public("nonsense")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "webhook", "url": "http://example.com", "secret": "env:SLUICE_SINK_A"},
        {"kind": "webhook", "url": "https://u:p@example.com", "secret": "env:SLUICE_SINK_A"},
        {"kind": "webhook", "url": "https://example.com", "secret": "whsec_in_the_file"},
        {"kind": "webhook", "url": "https://example.com", "secret": "env:SLUICE_RECORD_KEY"},
        {"kind": "clickhouse", "url": "https://example.com", "table": "a` b"},
        {"kind": "langfuse", "url": "https://example.com", "records": ["usage"]},
        {"kind": "email", "host": "h", "sender": "a@b\nBcc: c", "to": ["c@d"]},
        {
            "kind": "email",
            "host": "h",
            "sender": "a@b",
            "to": ["c@d"],
            "security": "none",
            "password": "env:SLUICE_SINK_A",
        },
        {"kind": "custom", "factory": "os.system"},
        {"kind": "files", "path": "relative"},
        {"kind": "s3", "url": "https://s3.example.com", "bucket": "no/bucket", "access_key": "env:SLUICE_SINK_A"},
        {"kind": "carrier-pigeon"},
    ],
)
def test_configurations_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python(wrong)


def test_a_secret_that_is_missing_or_none_is_named_and_not_quoted() -> None:
    config = EVENTS.validate_python(
        {"kind": "webhook", "url": "https://example.com", "secret": "env:SLUICE_SINK_SECRET"}
    )
    with pytest.raises(SinkConfigError, match="SLUICE_SINK_SECRET"):
        make_sink("one", config, {})
    with pytest.raises(SinkConfigError) as wrong:
        make_sink("one", config, {"SLUICE_SINK_SECRET": "hunter2"})
    assert "hunter2" not in str(wrong.value)


def test_two_secrets_sign_while_one_takes_the_other_s_place() -> None:
    keys = secrets_of(f"{SECRET} {SECRET}")
    assert headers_of(sample(), b"{}", keys, 1)["webhook-signature"].count("v1,") == 2


@given(st.integers(0, 60_000), st.integers(0, 60_000), st.integers(0, 2**40))
def test_an_event_s_id_is_its_record_s_alone(one: int, other: int, at_ms: int) -> None:
    first, second = event_of(posted(one), NOW_MS), event_of(posted(other), at_ms)
    assert (first.id == second.id) == (one == other)
    assert "." not in first.id


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_pause_is_bounded_and_at_least_what_is_asked(failures: int, chance: float, asked_s: float | None) -> None:
    pause = pause_s(failures, chance, asked_s)
    assert 0.25 <= pause <= 300
    assert pause >= min(asked_s or 0, 300)
    assert asked_s is not None or pause <= MOST_S


@given(st.integers(100, 599))
def test_every_status_has_one_meaning(status: int) -> None:
    assert (verdict_of(status) is Verdict.TAKEN) == (200 <= status < 300)


@pytest.mark.parametrize(
    ("readers", "given"),
    [
        (None, True),
        ("sinks.books", True),
        ("sinks.books.1795000000000", True),
        ("metering,sinks.books", True),
        ("sinks.books-2", False),
        ("sinks.lake", False),
        ("metering", False),
    ],
)
def test_a_dead_letter_that_is_retried_is_for_its_own_sink(readers: str | None, given: bool) -> None:
    headers = [] if readers is None else [(RETRIED_FOR, readers.encode())]
    received = Received(posted(1), CHARGES, 0, 1, NOW_MS, "", headers=headers)
    assert (Opening("sinks.books").event(received) is not None) == given


def test_a_body_is_the_same_each_time() -> None:
    assert body_of(sample()) == body_of(sample())
