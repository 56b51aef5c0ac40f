"""The bus that processors see, for what no real broker can be made to do: stop between two steps of ours."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import KafkaError

from contracts.headers import Headers
from contracts.record import Record
from contracts.topic import Topic
from libs.bus.processor import Processor, Work
from libs.bus.producer import Acknowledgement, Producer
from libs.bus.records import Received
from libs.bus.watermark import Watermark


class SilentLog(Producer):
    """Takes records and acknowledges them when a test says so."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self.letters: list[tuple[str, bytes | None, bytes | None, Headers]] = []
        """Dead letters by topic: key, value, headers; they are acknowledged at once."""
        self.has_room = True
        """At once."""
        self._unconfirmed: list[Acknowledgement] = []

    async def publish(
        self, topic: Topic[Any], record: Record, trace: str = "", *, newer_than: int = 0
    ) -> Acknowledgement:
        return self._take(record)

    def publish_if_room(self, topic: Topic[Any], record: Record, trace: str = "") -> Acknowledgement | None:
        return self._take(record) if self.has_room else None

    def _take(self, record: Record) -> Acknowledgement:
        self.taken.append(record)
        self._unconfirmed.append(asyncio.get_running_loop().create_future())
        return self._unconfirmed[-1]

    async def dead_letter(
        self, topic: Topic[Any], key: bytes | None, value: bytes | None, headers: Headers
    ) -> Acknowledgement:
        self.letters.append((topic.name, key, value, headers))
        acknowledgement: Acknowledgement = asyncio.get_running_loop().create_future()
        acknowledgement.set_result(None)
        return acknowledgement

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


class PromptLog(SilentLog):
    """Has at once what it is given."""

    def _take(self, record: Record) -> Acknowledgement:
        acknowledgement = super()._take(record)
        self.confirm()
        return acknowledgement


class OnePartition(Work):
    """Work whose topics are all one partition."""

    def __init__(self, log: Producer) -> None:
        super().__init__(log, {})
        self._watermark = Watermark(0)

    @property
    def finished_to(self) -> int:
        """The offset up to which everything is finished."""
        return self._watermark.committable

    def partitions_of(self, topic: Topic[Any]) -> set[int]:
        return {0}

    def begins_at(self, topic: Topic[Any], partition: int) -> int:
        return 0

    def hold(self, received: Received[Record]) -> None:
        self._watermark.hold(received.offset)

    def finish(self, received: Received[Record]) -> None:
        self._watermark.release(received.offset)

    async def give(self, processor: Processor[Any], batch: Sequence[Received[Any]]) -> None:
        """A batch for a processor, as a group's member gives it."""
        await processor.process(batch)
        await self.settle()
        for received in batch:
            self._watermark.passed(received.offset)
