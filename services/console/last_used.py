"""When each key was last used: read from ``gateway.key-uses``, written every few seconds."""

import asyncio
import contextlib
from datetime import UTC, datetime

import structlog

from contracts.requests import KeyUsed
from libs.bus.consumer import Batch
from libs.database.pool import AWAY, Database
from services.console.accounts import note_used

log = structlog.get_logger()

EVERY_S = 5.0


class LastUsed:
    """Collects uses and writes them every few seconds. What a crash loses, the key's next use brings back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[str, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    async def handle(self, batch: Batch) -> None:
        """Notes the keys of a batch."""
        for received in batch:
            use = received.record
            assert isinstance(use, KeyUsed)
            self._used[use.key_fingerprint] = datetime.fromtimestamp(use.used_at_ms / 1000, UTC)

    async def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Writes what is left."""
        if self._task:
            self._task.cancel()
        with contextlib.suppress(*AWAY):
            await self._write()

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._write()
            except Exception as error:
                log.warning("last use is written later", error=type(error).__name__)

    async def _write(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._database.pool.acquire() as connection:
                await note_used(connection, used)
        except AWAY:
            self._used = used | self._used
            raise
