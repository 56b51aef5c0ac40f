"""The outbox and its cluster: what a cluster lacks it is given, and nothing older than it has."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from contracts import topics
from contracts.control import AccountChanged
from contracts.services import ServiceSpec
from libs.bus.dead_letters import DeadLetters
from libs.bus.producer import Producer
from libs.bus.reading import empty_topics, read_to_end
from libs.bus.service import Service
from libs.bus.settings import BusSettings
from libs.database.outbox import Outbox, Outgoing, OutgoingDeletion, enqueue
from libs.runtime.health import Health
from tests.integration.publishing import SIGNER, TRUST
from tests.stacks import Gateway, until

SPEC = ServiceSpec("tests", writes=(topics.ACCOUNTS,))


class OpenDatabase:
    """A pool that is there."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self.pool = pool

    async def wait_ready(self) -> None:
        """Returns at once."""


@pytest_asyncio.fixture(loop_scope="session")
async def pool(gateway: Gateway) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """A schema with an outbox, made like the console's."""
    made = await asyncpg.create_pool(gateway.stack.postgres.admin_url(), min_size=1, max_size=2)
    await made.execute("drop schema if exists outbox_test cascade; create schema outbox_test")
    for table in ("outbox", "outbox_cluster"):
        await made.execute(f"create table outbox_test.{table} (like control.{table} including all)")
    yield made
    await made.execute("drop schema outbox_test cascade")
    made.terminate()


@pytest_asyncio.fixture(loop_scope="session")
async def service(bus: BusSettings) -> AsyncIterator[Service]:
    producer = Producer(bus, SPEC, SIGNER)
    await producer.start()
    yield Service(SPEC, bus, producer, Health("tests"), DeadLetters(producer, "tests"), TRUST)
    await producer.stop()


async def _published(bus: BusSettings, account_id: str) -> list[bytes | None]:
    return [raw.value async for raw in read_to_end(bus, topics.ACCOUNTS) if raw.key == account_id.encode()]


async def test_a_cluster_is_given_all_states_once_and_then_the_changes(
    bus: BusSettings, service: Service, pool: "asyncpg.Pool[Any]"
) -> None:
    name = f"acct_{secrets.token_hex(6)}"
    fills = 0

    async def states(_connection: Any) -> AsyncIterator[Outgoing[Any]]:
        nonlocal fills
        fills += 1
        yield Outgoing(topics.ACCOUNTS, AccountChanged(account_id=name, token_epoch=1))

    database: Any = OpenDatabase(pool)
    for _ in range(2):
        outbox = Outbox(database, "outbox_test", service, states)
        await outbox.start()

        async def ready(started: Outbox = outbox) -> bool | None:
            return started.ready or None

        await until(ready, what="the states")
        await outbox.stop()
    assert fills == 1, "a cluster that has the states is given them again"
    changes: list[Outgoing[Any] | OutgoingDeletion] = [
        Outgoing(topics.ACCOUNTS, AccountChanged(account_id=name, token_epoch=2)),
        OutgoingDeletion(topics.ACCOUNTS, name),
    ]
    async with pool.acquire() as connection, connection.transaction():
        await enqueue(connection, "outbox_test", changes)
    outbox = Outbox(database, "outbox_test", service, states)
    await outbox.start()

    async def empty() -> bool | None:
        return await pool.fetchval("select count(*) = 0 from outbox_test.outbox") or None

    await until(empty, what="an empty outbox")
    await outbox.stop()
    first, second, deleted = await _published(bus, name)
    assert first
    assert b'"token_epoch":2' in (second or b"")
    assert deleted is None


async def test_a_cluster_that_lost_a_topic_is_given_its_states_again(
    bus: BusSettings, service: Service, pool: "asyncpg.Pool[Any]", monkeypatch: Any
) -> None:
    fills = 0

    async def states(_connection: Any) -> AsyncIterator[Outgoing[Any]]:
        nonlocal fills
        fills += 1
        yield Outgoing(topics.ACCOUNTS, AccountChanged(account_id=f"acct_{secrets.token_hex(6)}"))

    async def lost(_settings: BusSettings, kept: Any) -> Any:
        return kept

    monkeypatch.setattr("libs.database.outbox.empty_topics", lost)
    database: Any = OpenDatabase(pool)
    for _ in range(2):
        outbox = Outbox(database, "outbox_test", service, states)
        await outbox.start()

        async def ready(started: Outbox = outbox) -> bool | None:
            return started.ready or None

        await until(ready, what="the states")
        await outbox.stop()
    assert fills == 2


async def test_a_topic_is_empty_until_something_was_published(bus: BusSettings, service: Service) -> None:
    await service.producer.publish_until_acknowledged(topics.ACCOUNTS, AccountChanged(account_id="acct_x"))
    found = await empty_topics(bus, [topics.ACCOUNTS, topics.CREDIT_SETTINGS])
    assert topics.ACCOUNTS not in found
