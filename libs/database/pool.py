"""A connection pool that waits for its database instead of failing with it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import structlog

from libs.database.apart import migrate_apart
from libs.database.revisions import current_revision, newest_revision
from libs.database.settings import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""What a pool lends, or what was opened alone."""
CONNECT_WITHIN_S = 5.0
AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises when the database cannot be reached, goes away, has no disk or memory left, was the primary until
now, or rolls back in favour of another transaction; the same work may succeed later."""


class Database:
    """A service's own schema: migrated, then open. `start` returns at once; `pool` raises until it is open."""

    def __init__(self, settings: DatabaseSettings, schema: str, migrations: Path) -> None:
        self._settings = settings
        self._schema = schema
        self._migrations = migrations
        self._pool: asyncpg.Pool[Any] | None = None
        self._opened = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Migrated and open. It stays true while the database is away later: the log holds the work meanwhile."""
        return self._pool is not None

    @property
    def pool(self) -> "asyncpg.Pool[Any]":
        """The pool.

        Raises:
            ConnectionError: the database was not reached yet.
        """
        if self._pool is None:
            raise ConnectionError("the database was not reached yet")
        return self._pool

    async def wait_ready(self) -> None:
        """Returns once the schema is migrated and the pool open."""
        await self._opened.wait()

    async def start(self) -> None:
        """Begins to reach the database, for as long as it takes."""
        self._task = asyncio.create_task(self._open())

    async def stop(self) -> None:
        """Closes the connections."""
        if self._task:
            self._task.cancel()
        if self._pool:
            self._pool.terminate()

    async def _open(self) -> None:
        while True:
            try:
                await self._migrate()
                self._pool = await asyncpg.create_pool(
                    self._settings.url,
                    min_size=1,
                    max_size=self._settings.pool_size,
                    timeout=CONNECT_WITHIN_S,
                    command_timeout=60,
                    server_settings={"search_path": self._schema, "timezone": "UTC"},
                )
                self._opened.set()
                return
            except AWAY as error:
                log.warning("waiting for the database", error=type(error).__name__)
            except Exception:
                log.exception("the schema could not be migrated; trying again", schema=self._schema)
            await asyncio.sleep(1)

    async def _migrate(self) -> None:
        current = await current_revision(self._settings.url, self._schema)
        # A newer version may have been here: what it added does no harm, and taking it away would (docs/upgrade.md).
        if current is not None and current >= newest_revision(self._migrations):
            return
        await migrate_apart(self._settings.url, self._schema, self._migrations)
