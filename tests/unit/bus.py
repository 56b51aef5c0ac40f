"""The bus that handlers see, for what no real broker can be made to do: stop between two steps of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaError

from contracts.record import Record
from contracts.topics import Topic
from libs.bus.consumer import Batch, Consumer
from libs.bus.producer import Acknowledgement, Producer
from libs.bus.received import Received
from libs.bus.watermark import Watermark


class Places(Consumer):
    """The consumer kit's memory of what is in work, without a group, as if all topics were one partition."""

    def __init__(self) -> None:
        self.watermark = Watermark(0)

    def begins_at(self, topic: Topic, partition: int) -> int:
        return 0

    def hold(self, received: Received[Record]) -> None:
        self.watermark.hold(received.offset)

    def release(self, received: Received[Record]) -> None:
        self.watermark.release(received.offset)

    async def give(self, handler: Callable[[Batch], Awaitable[None]], batch: Batch) -> None:
        """A batch for a handler, as the kit gives it."""
        await handler(batch)
        for received in batch:
            self.watermark.passed(received.offset)


class SilentLog(Producer):
    """Takes records and says nothing of them until it is told to."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self._unconfirmed: list[Acknowledgement] = []

    async def send(self, topic: Any, record: Record, **_about: Any) -> Acknowledgement:
        self.taken.append(record)
        self._unconfirmed.append(asyncio.get_running_loop().create_future())
        return self._unconfirmed[-1]

    async def has_taken(self, count: int) -> None:
        """Returns once it has been given as many records. Raises TimeoutError where nobody gives them."""
        async with asyncio.timeout(10):
            while len(self.taken) < count:
                await asyncio.sleep(0)

    def confirm(self) -> None:
        """What it was given it has."""
        for acknowledgement in self._unconfirmed:
            acknowledgement.set_result(None)
        self._unconfirmed = []

    def refuse(self, error: KafkaError) -> None:
        """Nothing of what it was given, and has not confirmed, is there."""
        for acknowledgement in self._unconfirmed:
            acknowledgement.set_exception(error)
        self._unconfirmed = []
