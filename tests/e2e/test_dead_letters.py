"""A broken record on any topic that a service reads: it is in the dead-letter queue, and the gateway goes on."""

import asyncio
import json
import signal
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts import headers as names
from contracts import topics
from contracts.claims import PartitionClaimed
from contracts.headers import header
from contracts.topic import Topic
from deploy.local.errors import StackError
from libs.bus.reading import read_to_end
from libs.bus.records import Raw
from services.cli.dlq import dlq, show_letter
from tests.faults.books import accepted_ids
from tests.integration.publishing import raw_producer
from tests.stacks import Gateway, chat, until

READ_BY = {
    topics.REQUESTS: {"policy", "rate-limit", "key-vault", "router"},
    topics.POLICY_DECISIONS: {"router"},
    topics.QUOTA_DECISIONS: {"router"},
    topics.CREDENTIAL_GRANTS: {"router"},
    topics.PROMPTS: {"relay"},
    topics.ROUTES: {"relay"},
    topics.CANCELLATIONS: {"relay"},
    topics.REPLIES: {"ingress"},
    topics.CLAIMS: {"ingress"},
    topics.KEY_USES: {"console"},
    topics.USAGE: {"metering", "rate-limit"},
    topics.CHARGES: {"rate-limit"},
    topics.SPENDING: {"rate-limit"},
    topics.ORDERS: {"metering"},
    topics.CREDIT_SETTINGS: {"console", "metering"},
    topics.METERS: {"console"},
    topics.BALANCES: {"ingress", "rate-limit"},
    topics.SIGNING_KEYS: {"console", "ingress", "key-vault"},
    topics.ACCOUNTS: {"console", "ingress", "key-vault"},
    topics.REVOCATIONS: {"console", "ingress", "key-vault"},
    topics.MEMBERSHIPS: {"console", "ingress", "key-vault"},
    topics.POLICIES: {"console", "ingress", "policy", "rate-limit", "relay"},
    topics.VAULTS: {"console", "key-vault"},
    topics.CREDENTIALS: {"console", "ingress", "key-vault", "rate-limit"},
    topics.CREDENTIAL_USES: {"console"},
    topics.VAULT_COMMANDS: {"key-vault-commands"},
    topics.RELAYS: {"relay", "key-vault"},
    topics.GRANT_KEYS: {"relay", "key-vault"},
}


@pytest.mark.parametrize("topic", READ_BY, ids=lambda topic: topic.name)
async def test_the_reader_goes_on_and_the_record_is_kept(gateway: Gateway, topic: Topic[Any]) -> None:
    key, kind, value = b"broken", b"dev.sluice.X", b'{"canary-value'
    headers = [(names.TYPE, kind)]
    if topic.signed_by:
        headers += gateway.stack.signer(topic.signed_by).headers(topic.name, key, kind, value)
    partition = await _claimed(gateway) if topic is topics.REPLIES else 0
    async with raw_producer(gateway.stack.bus) as producer:
        sent = await producer.send_and_wait(topic.name, value, key=key, headers=headers, partition=partition)

    async def kept() -> bool | None:
        readers = set()
        async for raw in read_to_end(gateway.stack.bus, topic, dead_letters=True):
            if raw.key == key:
                assert header(raw.headers, names.DLQ_OFFSET) == str(sent.offset)
                assert "unknown record type" in (header(raw.headers, names.DLQ_REASON) or "")
                readers.add(header(raw.headers, names.DLQ_GROUP))
        return readers == READ_BY[topic] or None

    await until(kept, what=f"dead letters of {topic.name}")
    response = await gateway.post(chat("hi"))
    assert response.status_code == 200


async def _dlq(*words: str, code: int = 0) -> Any:
    """What ``./sluice dlq`` answers; it must not quote the record."""
    done = await asyncio.to_thread(CliRunner().invoke, dlq, [*words, "--json"])
    assert done.exit_code == code, done.output
    assert "canary" not in done.output
    return json.loads(done.output)


async def test_the_operator_finds_retries_and_drops_letters(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_KAFKA_BOOTSTRAP", gateway.stack.bus.bootstrap)
    topic, value = topics.REQUESTS, b'{"canary-value'
    headers = [
        (names.TYPE, b"dev.sluice.RequestAccepted"),
        (names.SUBJECT, b"operated"),
        ("sluice-signature", b"\xff\0"),
    ]
    async with raw_producer(gateway.stack.bus) as producer:
        sent = await producer.send_and_wait(topic.name, value, key=b"k", headers=headers, partition=2)
    letter_id = f"{topic.name}/2/{sent.offset}"

    async def listed() -> dict[str, Any] | None:
        rows = [row for row in await _dlq("list", "--topic", topic.name, "--since", "1h") if row["id"] == letter_id]
        return rows[0] if rows and set(rows[0]["readers"].split(", ")) == READ_BY[topic] else None

    row = await until(listed, what="one letter of four readers")
    assert (row["subject"], row["type"], row["state"]) == ("operated", "RequestAccepted", "open")
    shown = await _dlq("show", letter_id)
    assert (shown["key"], shown["bytes"], shown["resolved_by"]) == ("k", len(value), None)
    assert await _dlq("retry", letter_id, "--by", "ann") == [{"id": letter_id, "result": "retried"}]
    assert await _dlq("retry", letter_id, "--by", "bob") == [{"id": letter_id, "result": "done before"}]
    copies = [
        raw
        async for raw in read_to_end(gateway.stack.bus, topic)
        if header(raw.headers, names.SUBJECT) == "operated" and raw.partition == 2
    ]
    assert len(copies) == 2, "published once again"
    assert all((raw.key, raw.value) == (b"k", value) for raw in copies)
    first, second = (list(raw.headers) for raw in copies)
    *as_before, (name, readers) = second
    assert first == as_before == headers
    # Who had no trouble with it, and delivers records elsewhere, leaves the copy.
    assert (name, set(readers.decode().split(","))) == (names.RETRIED_FOR, READ_BY[topic])
    shown = await _dlq("show", letter_id)
    assert (shown["state"], shown["resolved_by"]) == ("retried", "ann")
    again = f"{topic.name}/2/{copies[1].offset}"

    async def counted() -> bool | None:
        rows = await _dlq("list", "--topic", topic.name)
        return {letter_id, again} & {row["id"] for row in rows} == {again} or None

    await until(counted, what="the letter of the copy")
    assert await _dlq("drop", again) == [{"id": again, "result": "dropped"}]
    assert again not in {row["id"] for row in await _dlq("list")}
    assert all(row["letters"] for row in await _dlq("list", "--all", "--count"))
    with pytest.raises(StackError, match="no dead letter"):
        await asyncio.to_thread(show_letter, f"{topic.name}/9/9")


async def _claimed(gateway: Gateway) -> int:
    """The partition of replies that the ingress reads."""
    claims = [raw async for raw in read_to_end(gateway.stack.bus, topics.CLAIMS) if raw.key != b"broken"]
    return PartitionClaimed.model_validate_json(claims[-1].value).partition


@pytest.mark.parametrize("topic", [topics.REQUESTS, topics.QUOTA_DECISIONS, topics.ROUTES, topics.PROMPTS])
async def test_a_waiting_client_gets_a_500_instead_of_silence(gateway: Gateway, topic: Topic[Any]) -> None:
    """Policy is held back, so that the request waits while a broken record of it appears."""
    policy = gateway.stack.children["policy"]
    before = await accepted_ids(gateway)
    policy.kill(signal.SIGSTOP)
    try:
        asking = asyncio.create_task(gateway.post(chat("hi")))

        async def accepted() -> Raw | None:
            async for raw in read_to_end(gateway.stack.bus, topics.REQUESTS):
                if header(raw.headers, names.SUBJECT) not in before and header(raw.headers, names.REPLY_TO):
                    return raw
            return None

        request = await until(accepted, what="the request")
        kept = [(name, value) for name, value in request.headers if name in (names.SUBJECT, names.REPLY_TO)]
        broken = [(names.TYPE, b"dev.sluice.X"), *kept]
        async with raw_producer(gateway.stack.bus) as producer:
            await producer.send_and_wait(topic.name, b"{", key=request.key, headers=broken)
        if topic is topics.PROMPTS:
            policy.kill(signal.SIGCONT)
        response = await asking
    finally:
        policy.kill(signal.SIGCONT)
    assert response.status_code == 500
    assert response.json()["error"]["message"]
    if topic in (topics.QUOTA_DECISIONS, topics.PROMPTS):
        entry = await gateway.entry(response.headers["x-request-id"])
        assert (entry["outcome"], entry["status"], entry["attempts"]) == ("failed", 500, 0)
