"""The transactional outbox: records about a change of a service's database, written in the change's own transaction."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from contracts.headers import event_headers
from contracts.record import Record
from contracts.topics import BY_NAME, Topic
from libs.bus.producer import Producer, settle
from libs.bus.watch import BrokerWatch
from libs.database.pool import Database

log = structlog.get_logger()

EVERY_S = 1.0
BATCH = 500


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record on its way to the log; without a record, the deletion of its key."""

    topic: Topic
    key: str
    record: Record | None
    event_id: str = ""
    """Default: the key."""
    subject: str = ""
    """Default: the key."""
    traceparent: str = ""
    partition_by: str = ""
    """Records of one partition_by are in one partition, as if it were their key. Default: the key."""


States = Callable[[Any], AsyncIterator[Outgoing]]
"""Given a connection in a transaction: a record for each state that compacted topics must hold."""


async def enqueue(connection: Any, schema: str, outgoing: Sequence[Outgoing]) -> None:
    """Adds records to a schema's outbox, in the caller's transaction; they are published in this order."""
    rows = [
        (
            one.topic.name,
            one.key,
            type(one.record).__name__,
            one.event_id or one.key,
            one.subject or one.key,
            one.traceparent,
            one.partition_by or one.key,
            None
            if one.record is None
            else type(one.record).__pydantic_serializer__.to_json(one.record, exclude_defaults=True).decode(),
        )
        for one in outgoing
    ]
    if rows:
        await connection.execute(
            f"insert into {schema}.outbox (topic, key, type, event_id, subject, traceparent, partition_by, record) "  # noqa: S608
            "select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], "
            "$8::text[])",
            *map(list, zip(*rows, strict=True)),
        )


class Outbox:
    """Publishes the rows of the outbox in order, and republishes all states to a broker that lost its log.

    Two processes may publish the same rows: whoever reads them dedupes by event ID, or takes the newest of a key.
    """

    def __init__(
        self, database: Database, schema: str, producer: Producer, watch: BrokerWatch, source: str, states: States
    ) -> None:
        """
        Args:
            schema: has the table ``outbox``.
            source: the service, as CloudEvents' ``source`` names it.
            states: republished to an empty log.
        """
        self._database = database
        self._schema = schema
        self._producer = producer
        self._source = f"/services/{source}"
        self._states = states
        self._wake = asyncio.Event()
        self._republish = True
        self._task: asyncio.Task[None] | None = None
        watch.on_new_log(self._republish_all)

    @property
    def ready(self) -> bool:
        """All states of the database have been published."""
        return not self._republish

    def wake(self) -> None:
        """Publishes now: a transaction with new rows has ended."""
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

    def _republish_all(self) -> None:
        self._republish = True
        self._wake.set()

    async def _publish_on(self) -> None:
        await self._database.wait_ready()
        while True:
            self._wake.clear()
            try:
                if self._republish:
                    await self._publish_states()
                    self._republish = False
                while await self._publish_some():
                    pass
            except Exception as error:
                # Whatever it is: without this loop no change would ever be published.
                log.warning("outbox is tried again", error=type(error).__name__)
                await asyncio.sleep(0.3)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()

    async def _publish_some(self) -> bool:
        async with self._database.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                f"select * from {self._schema}.outbox order by id limit $1 for update",  # noqa: S608
                BATCH,
            )
            if not rows:
                return False
            await settle([await self._send_row(row) for row in rows])
            await connection.execute(
                f"delete from {self._schema}.outbox where id = any($1)",  # noqa: S608
                [row["id"] for row in rows],
            )
            return len(rows) == BATCH

    async def _publish_states(self) -> None:
        async with self._database.pool.acquire() as connection, connection.transaction():
            sent = []
            async for one in self._states(connection):
                assert one.record is not None
                partition = await self._producer.partition_for(one.topic, one.partition_by or one.key)
                sent.append(
                    await self._producer.send(
                        one.topic,
                        one.record,
                        key=one.key,
                        event_id=one.event_id or one.key,
                        subject=one.subject or one.key,
                        traceparent="",
                        partition=partition,
                    )
                )
            await settle(sent)

    async def _send_row(self, row: Any) -> Any:
        key = row["key"].encode()
        partition = await self._producer.partition_for(BY_NAME[row["topic"]], row["partition_by"])
        if row["record"] is None:
            return await self._producer.send_raw(row["topic"], None, key=key, headers=[], partition=partition)
        headers = event_headers(
            type_name=row["type"],
            event_id=row["event_id"],
            source=self._source,
            subject=row["subject"],
            traceparent=row["traceparent"],
        )
        return await self._producer.send_raw(
            row["topic"], row["record"].encode(), key=key, headers=headers, partition=partition
        )
