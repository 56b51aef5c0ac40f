"""Readings of the log's progress for all who watch: taken once a second while somebody does, and never otherwise."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.outcomes import OutcomesCounted
from libs.breakers import Health, Standing
from libs.bus.follower import Follower
from libs.bus.progress import Progress
from libs.bus.records import Received
from libs.bus.service import Service
from libs.config.versions import CatalogVersions
from services.console.core.flow import Flow, flow
from services.console.errors import Away

log = structlog.get_logger()

EVERY_S = 1.0
FIRST_WITHIN_S = 5.0
MOST_WATCHERS = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """What is shown of one second."""

    flow: Flow
    providers: Mapping[str, Standing]
    """By their breakers, as routers reckon them from the same reports."""


class Live:
    """What runs now."""

    def __init__(self, service: Service, versions: CatalogVersions) -> None:
        self._service = service
        self._versions = versions
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Seen] | None = None

    async def watch(self) -> AsyncGenerator[Seen, None]:
        """One after the other, as they are taken. Raises Away where the broker does not answer, or too many watch."""
        if self._watchers >= MOST_WATCHERS:
            raise Away("too many watch; try again later")
        self._watchers += 1
        try:
            while True:
                if self._task is None or self._task.done():
                    self._next = asyncio.get_running_loop().create_future()
                    self._task = asyncio.create_task(self._take())
                assert self._next
                try:
                    async with asyncio.timeout(FIRST_WITHIN_S):
                        seen = await asyncio.shield(self._next)
                except TimeoutError:
                    raise Away("the broker does not answer; try again in a moment") from None
                yield seen
        finally:
            self._watchers -= 1
            if not self._watchers and self._task:
                self._task.cancel()

    async def one(self) -> Seen:
        """The next reading. Raises as `watch` does."""
        async with contextlib.aclosing(self.watch()) as seen:
            async for one in seen:
                return one
        raise AssertionError

    async def stop(self) -> None:
        """Ends what runs."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def start(self) -> None:
        """Nothing runs before somebody watches."""

    async def _take(self) -> None:
        health = Health(lambda: self._versions.newest.routing.breaker)
        reports = self._reports(health)
        try:
            async with Progress(self._service.bus, self._service.spec) as progress:
                await reports.start()
                before = None
                while True:
                    after = await progress.read()
                    catalog = self._versions.newest
                    standings = {one: health.standing(one, 0) for one in sorted(catalog.providers)}
                    self._publish(Seen(flow(before, after), standings))
                    before = after
                    await asyncio.sleep(EVERY_S)
        except KafkaError as error:
            log.warning("the log's progress cannot be read", error=type(error).__name__)
            assert self._next
            if not self._next.done():
                self._next.set_exception(Away("the broker does not answer; try again in a moment"))
        finally:
            await reports.stop()

    def _reports(self, health: Health) -> Follower:
        def receive(received: Received[OutcomesCounted]) -> None:
            health.note(received.record, received.record.counted_at_ms)

        return self._service.follower(topics.OUTCOMES, receive)

    def _publish(self, seen: Seen) -> None:
        taken, self._next = self._next, asyncio.get_running_loop().create_future()
        if taken and not taken.done():
            taken.set_result(seen)
