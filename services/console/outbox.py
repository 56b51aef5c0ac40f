"""The transactional outbox: what a change of the control database says to the other services."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import structlog

from contracts import topics
from contracts.control import AccountChanged
from contracts.headers import event_headers
from contracts.record import Record
from contracts.topics import BY_NAME, Topic
from libs.bus.producer import Producer, settle
from libs.bus.watch import BrokerWatch
from libs.database.pool import Database
from services.console.records import membership, membership_id, policy, published, revocation

log = structlog.get_logger()

EVERY_S = 1.0
BATCH = 500


async def enqueue(connection: Any, topic: Topic, key: str, record: Record | None) -> None:
    """Adds a record (None deletes the key) to the outbox, in the caller's transaction."""
    await connection.execute(
        "insert into control.outbox (topic, key, record) values ($1, $2, $3)",
        topic.name,
        key,
        None if record is None else record.model_dump_json(exclude_defaults=True),
    )


class Outbox:
    """Publishes what is in the outbox, in order; tells everything anew where the broker lost its log.

    Two consoles may publish the same rows: records are states, not changes, and the newest of a key wins.
    """

    def __init__(self, database: Database, producer: Producer, watch: BrokerWatch) -> None:
        self._database = database
        self._producer = producer
        self._wake = asyncio.Event()
        self._all_again = True
        self._task: asyncio.Task[None] | None = None
        watch.on_new_log(self._tell_all_again)

    @property
    def ready(self) -> bool:
        """All that the database knows has been told."""
        return not self._all_again

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    async def start(self) -> None:
        """Begins to publish."""
        self._task = asyncio.create_task(self._publish_on())

    async def stop(self) -> None:
        """Ends; what is left in the outbox is published by the next start."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _tell_all_again(self) -> None:
        self._all_again = True
        self._wake.set()

    async def _publish_on(self) -> None:
        await self._database.wait_ready()
        while True:
            self._wake.clear()
            try:
                if self._all_again:
                    await self._refill()
                    self._all_again = False
                while await self._publish_some():
                    pass
            except Exception as error:
                # Whatever it is: with this loop dead no change would ever be told again.
                log.warning("outbox is tried again", error=type(error).__name__)
                await asyncio.sleep(0.3)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()

    async def _publish_some(self) -> bool:
        async with self._database.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "select id, topic, key, record from control.outbox order by id limit $1 for update", BATCH
            )
            if not rows:
                return False
            await settle([await self._send(row["topic"], row["key"], row["record"]) for row in rows])
            await connection.execute("delete from control.outbox where id = any($1)", [row["id"] for row in rows])
            return True

    async def _refill(self) -> None:
        async with self._database.pool.acquire() as connection, connection.transaction():
            sent = []
            async for topic, key, record in _states(connection):
                sent.append(await self._send(topic.name, key, record.model_dump_json(exclude_defaults=True)))
            await settle(sent)

    async def _send(self, topic: str, key: str, record: str | None) -> Any:
        if record is None:
            return await self._producer.send_raw(topic, None, key=key.encode(), headers=[])
        (kind,) = BY_NAME[topic].records
        headers = event_headers(
            type_name=kind.__name__, event_id=key, source="/services/console", subject=key, traceparent=""
        )
        return await self._producer.send_raw(topic, record.encode(), key=key.encode(), headers=headers)


async def _states(connection: Any) -> AsyncIterator[tuple[Topic, str, Record]]:
    async for row in connection.cursor("select kid, public_key, not_after from control.signing_keys"):
        yield topics.SIGNING_KEYS, row["kid"], published(row["kid"], row["public_key"], row["not_after"])
    async for row in connection.cursor("select id, token_epoch, disabled from control.accounts"):
        record = AccountChanged(account_id=row["id"], token_epoch=row["token_epoch"], disabled=row["disabled"])
        yield topics.ACCOUNTS, row["id"], record
    revoked = "select id, revoked_at, expires_at from control.api_keys where revoked_at is not null"
    async for row in connection.cursor(f"{revoked} and expires_at > now()"):
        yield topics.REVOCATIONS, row["id"], revocation(row["id"], row["revoked_at"], row["expires_at"])
    async for row in connection.cursor("select organization_id, account_id, role from control.memberships"):
        organization_id, account_id, role = row
        yield (
            topics.MEMBERSHIPS,
            membership_id(organization_id, account_id),
            membership(organization_id, account_id, role),
        )
    newest = "select distinct on (organization_id) organization_id, version, document from control.policies"
    async for row in connection.cursor(f"{newest} order by organization_id, version desc"):
        document = orjson.loads(row["document"])
        yield topics.POLICIES, row["organization_id"], policy(row["organization_id"], row["version"], document)
