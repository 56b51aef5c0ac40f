"""When each key was last used: read from ``gateway.key-uses``, written every few seconds."""

import contextlib
from datetime import datetime

from faststream import AckPolicy

from contracts.requests import KeyUsed
from contracts.services import CONSOLE_GROUP
from libs.bus.dead_letters import DeadLetters
from libs.bus.faststream import faststream_broker
from libs.bus.service import Service
from libs.database.pool import AWAY, Database
from libs.runtime.background import Repeated
from services.console.answers import time_of
from services.console.store.keys import note_used

EVERY_S = 5.0


class LastUsed:
    """Collects uses and writes them every few seconds. What a crash loses, the key's next use brings back."""

    def __init__(self, service: Service, database: Database) -> None:
        self._database = database
        self._used: dict[str, datetime] = {}
        self._broker = faststream_broker(
            service.bus, DeadLetters(service.producer, CONSOLE_GROUP.name), "sluice-console"
        )
        (topic,) = CONSOLE_GROUP.topics
        subscribe = self._broker.subscriber(
            topic.name, group_id=CONSOLE_GROUP.name, auto_offset_reset="earliest", ack_policy=AckPolicy.ACK
        )
        subscribe(self.receive)
        self.background = Repeated("write last uses", self._write, every_s=EVERY_S)

    async def receive(self, use: KeyUsed) -> None:
        """Notes a use."""
        self._used[use.key_fingerprint] = time_of(use.used_at_ms)

    async def start(self) -> None:
        """Begins to read and to write. Raises KafkaError where no broker answers."""
        await self._broker.start()
        await self.background.start()

    async def stop(self) -> None:
        """Writes what is left."""
        await self._broker.stop()
        await self.background.stop()
        with contextlib.suppress(*AWAY):
            await self._write()

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
