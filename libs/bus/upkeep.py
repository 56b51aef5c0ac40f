"""Keeps a process's own records on a compacted topic, whatever happens to the log."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Generic

import structlog
from aiokafka.errors import KafkaError

from libs.bus.producer import Producer, settle
from libs.bus.views import R, View

log = structlog.get_logger()

EVERY_S = 1.0


class Upkeep(Generic[R]):
    """Compares what should be on the log with what is, and publishes the difference.

    Level by level, not edge by edge: a record that was lost with the broker's memory comes back by itself.
    """

    def __init__(
        self, producer: Producer, view: View[R], wanted: Callable[[], Mapping[str, R]], *, outlives: bool = False
    ) -> None:
        """
        Args:
            outlives: the records stay when this process ends.
            view: of the topic; its reader must run in the same process.
            wanted: this process's own records by key. Keys of others are left alone.
        """
        self._producer = producer
        self._view = view
        self._wanted = wanted
        self._outlives = outlives
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._published: dict[str, R] = {}

    def wake(self) -> None:
        """What is wanted has changed."""
        self._wake.set()

    async def start(self) -> None:
        """Begins; what outlives a process is taken over as it is on the log, leftovers included."""
        if self._outlives:
            self._published = dict(self._view.on_log)
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends, and deletes from the log what this process kept there, unless it outlives it."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._outlives:
            return
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(2):
                await self._delete(self._published)

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._publish()
            except Exception as error:
                log.warning("upkeep is tried again", topic=self._view.topic.name, error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()

    async def _publish(self) -> None:
        wanted = dict(self._wanted())
        sent = [
            await self._producer.send(self._view.topic, record, key=key, event_id=key, subject=key, traceparent="")
            for key, record in wanted.items()
            if self._view.on_log.get(key) != record
        ]
        await settle(sent)
        await self._delete({key: record for key, record in self._published.items() if key not in wanted})
        self._published = wanted

    async def _delete(self, records: Mapping[str, R]) -> None:
        await settle(
            [
                await self._producer.send_raw(self._view.topic.name, None, key=key.encode(), headers=[])
                for key in records
            ]
        )
