"""Topics that an ingress keeps the state of in memory, until it is old."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from contracts.clock import now_ms
from contracts.record import Record
from contracts.topic import Topic
from libs.bus.follower import From
from libs.bus.records import Received
from libs.bus.service import Service
from libs.runtime.background import Repeated

R = TypeVar("R", bound=Record)
EXPIRE_EVERY_S = 600.0


class Fold(Generic[R]):
    """Reads a topic from its beginning."""

    def __init__(
        self,
        service: Service,
        topic: Topic[R],
        apply: Callable[[R], object],
        expire: Callable[[int], object],
        *,
        what: str,
    ) -> None:
        """
        Args:
            apply: takes a record into the state.
            expire: given the time (epoch, ms), forgets what is old.
            what: it is, in the plural, for the name of what runs in the background.
        """
        self._topic = topic
        self._apply = apply
        self._moved = asyncio.Event()
        self._follower = service.follower(topic, self._receive, begin=From.BEGINNING)

        async def forget() -> None:
            expire(now_ms())

        self._expiring = Repeated(f"forget old {what}", forget, every_s=EXPIRE_EVERY_S)
        self.background = (self._follower.background, self._expiring)

    def _receive(self, received: Received[R]) -> None:
        self._apply(received.record)
        self._moved.set()
        self._moved = asyncio.Event()

    def position(self, partition: int) -> int:
        """Up to which offset the state has a partition's records."""
        return self._follower.position(self._topic, partition)

    async def moved(self) -> None:
        """Returns after the next record."""
        await self._moved.wait()

    async def start(self) -> None:
        """Begins to read, and returns once the state is whole."""
        await self._follower.start()
        await self._follower.wait_ready()
        await self._expiring.start()

    async def stop(self) -> None:
        """Ends reading."""
        await self._expiring.stop()
        await self._follower.stop()
