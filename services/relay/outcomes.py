"""Tells twice a second what became of calls, so that all routers know how providers do."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.clock import now_ms
from libs.bus.producer import Producer, settle
from services.relay.core.tally import Tally

log = structlog.get_logger()

EVERY_S = 0.5


class Reporting:
    """Tells the tally to the routers. A report that the log does not take is lost: the next says what matters then."""

    def __init__(self, producer: Producer, tally: Tally, relay_id: str) -> None:
        self._producer = producer
        self._tally = tally
        self._relay_id = relay_id
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to report."""
        self._task = asyncio.create_task(self._report())

    async def stop(self) -> None:
        """Ends reporting."""
        if self._task:
            self._task.cancel()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await settle(
                    [
                        await self._producer.send(
                            topics.OUTCOMES,
                            counted,
                            key=counted.provider_id,
                            event_id=f"{self._relay_id}/{counted.provider_id}/{counted.counted_at_ms}",
                            subject=counted.provider_id,
                            traceparent="",
                        )
                        for counted in self._tally.take(self._relay_id, now_ms())
                    ]
                )
            except KafkaError as error:
                log.warning("outcomes not told", error=type(error).__name__)
