"""The transactional outbox: what a change of a service's database says on the log, in the change's own transaction."""

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
    """The key, where nothing is said."""
    subject: str = ""
    """The key, where nothing is said."""
    traceparent: str = ""
    partition_by: str = ""
    """Records of one partition_by lie in one partition, as if it were their key. The key, where nothing is said."""


States = Callable[[Any], AsyncIterator[Outgoing]]
"""Given a connection in a transaction: every state that the log must hold."""


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
    """Publishes what is in the outbox, in order; tells all states anew where the broker lost its log.

    Two processes may publish the same rows: whoever reads them dedupes by event ID, or takes the newest of a key.
    """

    def __init__(
        self, database: Database, schema: str, producer: Producer, watch: BrokerWatch, source: str, states: States
    ) -> None:
        """
        Args:
            schema: has the table ``outbox``.
            source: the service, as CloudEvents' ``source`` names it.
            states: what a log without memory is told.
        """
        self._database = database
        self._schema = schema
        self._producer = producer
        self._source = f"/services/{source}"
        self._states = states
        self._wake = asyncio.Event()
        self._all_again = True
        self._task: asyncio.Task[None] | None = None
        watch.on_new_log(self._tell_all_again)

    @property
    def ready(self) -> bool:
        """All states that the database knows have been told."""
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

    async def _refill(self) -> None:
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
