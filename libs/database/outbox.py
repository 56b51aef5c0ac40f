"""The transactional outbox: what a change of a service's database publishes, in the change's own transaction."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from contracts.record import Record
from contracts.topic import Topic
from contracts.topics import BY_NAME
from libs.bus.admin import cluster_id
from libs.bus.producer import Acknowledgement, settle
from libs.bus.reading import empty_topics
from libs.bus.service import Service
from libs.database.pool import Database
from libs.runtime.background import Repeated

log = structlog.get_logger()

R = TypeVar("R", bound=Record)
EVERY_S = 1.0
BATCH = 500


@dataclass(frozen=True, slots=True)
class Outgoing(Generic[R]):
    """A record on its way to the log."""

    topic: Topic[R]
    record: R
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class OutgoingDeletion:
    """The end of a key of a compacted topic, on its way to the log."""

    topic: Topic[Any]
    key: str


States = Callable[[Any], AsyncIterator[Outgoing[Any]]]
"""Given a connection in a transaction: every state that the log must hold."""


async def enqueue(connection: Any, schema: str, outgoing: Iterable[Outgoing[Any] | OutgoingDeletion]) -> None:
    """Adds records to a schema's outbox, in the caller's transaction; they are published in this order."""
    rows = [_row(one) for one in outgoing]
    if rows:
        await connection.execute(
            f"insert into {schema}.outbox (topic, key, type, event_id, traceparent, record) "  # noqa: S608
            "select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])",
            *map(list, zip(*rows, strict=True)),
        )


def _row(outgoing: Outgoing[Any] | OutgoingDeletion) -> tuple[str, str, str, str, str, str | None]:
    topic = outgoing.topic
    if isinstance(outgoing, OutgoingDeletion):
        return topic.name, outgoing.key, "", "", "", None
    record = outgoing.record
    name, value = type(record).__name__, record.encode().decode()
    return topic.name, topic.key(record), name, record.event_id, outgoing.traceparent, value


class Outbox:
    """Publishes what is in the outbox, in order; and all states to a Kafka cluster that has none of them.

    Two processes may publish the same rows: whoever reads them dedupes by event ID, or takes the newest of a key.
    """

    def __init__(
        self,
        database: Database,
        schema: str,
        service: Service,
        states: States,
        *,
        version: Callable[[Topic[Any], str], int] = lambda _topic, _key: 0,
    ) -> None:
        """
        Args:
            schema: has the tables ``outbox`` and ``outbox_cluster``.
            states: what a new cluster is given.
            version: of a key's newest record on a signed topic, as far as it is known: another process may have
                published it, by a clock that is ahead.
        """
        self._database = database
        self._schema = schema
        self._service = service
        self._states = states
        self._version = version
        self._filled = False
        self.background = Repeated(f"outbox of {schema}", self._publish, every_s=EVERY_S)

    @property
    def ready(self) -> bool:
        """The cluster has all states that the database knows."""
        return self._filled

    def wake(self) -> None:
        """Publishes now: a transaction with new rows has ended."""
        self.background.wake()

    async def start(self) -> None:
        """Begins to publish."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends; what is left in the outbox is published by the next start."""
        await self.background.stop()

    async def _publish(self) -> None:
        await self._database.wait_ready()
        if not self._filled:
            await self._fill()
            self._filled = True
        while await self._publish_some():
            pass

    async def _publish_some(self) -> bool:
        async with self._database.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                f"select * from {self._schema}.outbox order by id limit $1 for update",  # noqa: S608
                BATCH,
            )
            if not rows:
                return False
            await settle([await self._publish_row(row) for row in rows])
            await connection.execute(
                f"delete from {self._schema}.outbox where id = any($1)",  # noqa: S608
                [row["id"] for row in rows],
            )
            return len(rows) == BATCH

    async def _publish_row(self, row: Any) -> Acknowledgement:
        topic = BY_NAME[row["topic"]]
        version = self._version(topic, row["key"])
        if row["record"] is None:
            return await self._service.producer.delete(topic, row["key"], newer_than=version)
        (kind,) = [kind for kind in topic.records if kind.__name__ == row["type"]]
        record = kind.decode(row["record"].encode(), row["key"])
        return await self._service.producer.publish(topic, record, row["traceparent"], newer_than=version)

    async def _fill(self) -> None:
        """Gives every state to a cluster that is not known by its ID, or has lost a topic's records.

        No change is entered meanwhile: an older state must not be published after a newer one.
        """
        cluster = await cluster_id(self._service.bus)
        kept = [topic for topic in self._service.spec.writes if topic.compacted]
        whole = not await empty_topics(self._service.bus, kept)
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"lock table {self._schema}.outbox in exclusive mode")
            known = f"select 1 from {self._schema}.outbox_cluster where cluster_id = $1"  # noqa: S608
            if whole and await connection.fetchval(known, cluster):
                return
            published = [
                await self._service.producer.publish(state.topic, state.record)
                async for state in self._states(connection)
            ]
            await settle(published)
            log.info("states published", cluster=cluster, count=len(published))
            insert = f"insert into {self._schema}.outbox_cluster (cluster_id) values ($1) on conflict do nothing"  # noqa: S608
            await connection.execute(insert, cluster)
