"""The console's records on the log, held against its database: what somebody removed or brought back is put right."""

from collections.abc import Callable
from typing import Any

import structlog

from contracts import topics
from contracts.services import CONSOLE
from contracts.topic import Topic
from libs.bus.signing import Signer
from libs.bus.views import View
from libs.config.versions import CatalogVersions
from libs.database import outbox
from libs.database.outbox import Outgoing, OutgoingDeletion
from libs.database.pool import Database
from libs.runtime.background import Repeated
from services.console.outbox import SCHEMA, states

log = structlog.get_logger()

EVERY_S = 600.0
WATCHED = tuple(topic for topic in CONSOLE.views if topic.signed_by == CONSOLE.name)


class Guard:
    """Publishes anew what the log does not hold as the database does, or holds under another key than signs now.

    Who may write a control topic cannot be believed, but he can let compaction take the records that are: a service
    that starts then would not know of a revocation. A refused record is the sign of it; the rest is found at the
    start, and every ten minutes.
    """

    def __init__(
        self, database: Database, signer: Signer | None, versions: CatalogVersions, wake_outbox: Callable[[], None]
    ) -> None:
        """
        Args:
            versions: learns of the versions of the catalog on the log.
        """
        self._database = database
        self._signer = signer
        self._wake_outbox = wake_outbox
        self.views = {topic.name: View[Any](topic) for topic in WATCHED}
        self.views[topics.CATALOG.name] = View(topics.CATALOG, on_change=versions.changed)
        self.background = Repeated("hold the log against the database", self._compare, every_s=EVERY_S)

    def version(self, topic: Topic[Any], key: str) -> int:
        """Of a key's newest record; 0 where none is known."""
        view = self.views.get(topic.name)
        return view.version(key) if view else 0

    def on_refused(self, topic: Topic[Any], _key: str) -> None:
        """Somebody else wrote to one of the console's topics."""
        if topic.name in self.views:
            self.background.wake()

    async def start(self) -> None:
        """Begins; the views must be whole."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends."""
        await self.background.stop()

    async def _compare(self) -> None:
        """No change is entered meanwhile, so that an older state is never published after a newer one."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"lock table {SCHEMA}.outbox in exclusive mode")
            rows = await connection.fetch(f"select topic, key from {SCHEMA}.outbox")  # noqa: S608
            on_their_way = {(row["topic"], row["key"]) for row in rows}
            absent = {(name, key) for name, view in self.views.items() for key in (*view.entries, *view.disputed)}
            wrong: list[Outgoing[Any] | OutgoingDeletion] = []
            async for state in states(connection):
                name, key = state.topic.name, state.topic.key(state.record)
                absent.discard((name, key))
                stands = self.views[name].stands(key, state.record, self._signer)
                if not stands and (name, key) not in on_their_way:
                    wrong.append(state)
            wrong += [OutgoingDeletion(self.views[name].topic, key) for name, key in absent - on_their_way]
            if wrong:
                log.warning("the log differs from the database; published anew", records=len(wrong))
                await outbox.enqueue(connection, SCHEMA, wrong)
        if wrong:
            self._wake_outbox()
