"""Keeps a process's own records on a compacted topic."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from aiokafka.errors import KafkaError

from contracts.record import StateRecord
from libs.bus.producer import Producer, settle
from libs.bus.views import View
from libs.runtime.background import Repeated

S = TypeVar("S", bound=StateRecord)

EVERY_S = 1.0
DELETED_WITHIN_S = 2.0


class Upkeep(Generic[S]):
    """Compares what should be on the log with what is, and publishes the difference.

    Level by level, not edge by edge: what somebody else overwrote or deleted comes back by itself.
    """

    def __init__(
        self, producer: Producer, view: View[S], wanted: Callable[[], Mapping[str, S]], *, outlives: bool = False
    ) -> None:
        """
        Args:
            view: of the topic; its reader must run in the same process.
            wanted: this process's own records by key. Keys of others are left alone.
            outlives: the records stay when this process ends.
        """
        self._producer = producer
        self._view = view
        self._wanted = wanted
        self._outlives = outlives
        self._published: dict[str, S] = {}
        self.background = Repeated(f"keep {view.topic.name}", self._publish, every_s=EVERY_S)

    def wake(self) -> None:
        """What is wanted has changed."""
        self.background.wake()

    async def start(self) -> None:
        """Begins; what outlives a process is taken over as it is on the log, leftovers included."""
        if self._outlives:
            self._published = dict(self._view.entries)
        await self.background.start()

    async def stop(self) -> None:
        """Ends, and deletes from the log what this process kept there, unless it outlives it."""
        await self.background.stop()
        if self._outlives:
            return
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(DELETED_WITHIN_S):
                await self._delete(self._published)

    async def _publish(self) -> None:
        wanted = dict(self._wanted())
        topic, signer = self._view.topic, self._producer.signer
        changed = [(key, record) for key, record in wanted.items() if not self._view.stands(key, record, signer)]
        await settle(
            [await self._producer.publish(topic, record, newer_than=self._view.version(key)) for key, record in changed]
        )
        await self._delete([key for key in self._published if key not in wanted])
        self._published = wanted

    async def _delete(self, keys: Collection[str]) -> None:
        topic, version = self._view.topic, self._view.version
        await settle([await self._producer.delete(topic, key, newer_than=version(key)) for key in keys])
