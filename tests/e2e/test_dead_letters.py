"""A broken record on any topic that a service reads: it is in the dead-letter queue, and the gateway goes on."""

import asyncio
import signal
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from contracts import headers as names
from contracts import topics
from contracts.claims import PartitionClaimed
from contracts.headers import header
from contracts.topic import Topic
from libs.bus.reading import read_to_end
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
    topics.BALANCES: {"ingress", "rate-limit"},
    topics.SIGNING_KEYS: {"console", "ingress"},
    topics.ACCOUNTS: {"console", "ingress"},
    topics.REVOCATIONS: {"console", "ingress"},
    topics.MEMBERSHIPS: {"console", "ingress"},
    topics.POLICIES: {"console", "ingress", "policy", "rate-limit"},
    topics.VAULTS: {"console", "key-vault"},
    topics.CREDENTIALS: {"console", "key-vault", "rate-limit"},
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

        async def accepted() -> "ConsumerRecord[Any, Any] | None":
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
