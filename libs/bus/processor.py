"""What a service does with the records of a group: a `Processor` for each assignment, and its `Work`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from aiokafka import TopicPartition

from contracts.record import Record
from contracts.topic import Topic
from libs.bus.producer import Acknowledgement, Producer, settle
from libs.bus.records import DeadLetter, Received
from libs.bus.watermark import Watermark

R = TypeVar("R", bound=Record)
P = TypeVar("P", bound=Record)


class RetryLater(Exception):
    """Something that a processor needs is away; the message names it."""


class Work:
    """The records of one assignment that are in work, and what is published for them.

    When the partitions have gone it does nothing any more: whoever owns them next receives the records again.
    """

    def __init__(self, producer: Producer, positions: Mapping[TopicPartition, int]) -> None:
        """
        Args:
            positions: the offset at which each partition begins.
        """
        self._producer = producer
        self._positions = dict(positions)
        # A TopicPartition is found by a pair, too, which is made in half the time.
        self._watermarks: dict[tuple[str, int], Watermark] = {
            partition: Watermark(offset) for partition, offset in positions.items()
        }
        self._unsettled: list[Acknowledgement] = []
        self._closed = False

    def partitions_of(self, topic: Topic[Any]) -> set[int]:
        """The partitions of a topic that are owned."""
        return {number for name, number in self._positions if name == topic.name}

    def begins_at(self, topic: Topic[Any], partition: int) -> int:
        """The offset at which a partition of this assignment begins."""
        offset: int = self._positions[TopicPartition(topic.name, partition)]
        return offset

    def hold(self, received: Received[Record]) -> None:
        """Keeps a record in work after `Processor.process` has returned."""
        watermark = self._watermarks.get(_partition(received))
        if watermark:
            watermark.hold(received.offset)

    def finish(self, received: Received[Record]) -> None:
        """Ends a held record; it may be committed."""
        watermark = self._watermarks.get(_partition(received))
        if watermark:
            watermark.release(received.offset)

    async def publish(self, topic: Topic[P], record: P, trace: str = "") -> None:
        """Queues a record; what is in work is not finished before the broker has it. See `Producer.publish`."""
        self._unsettled.append(await self._producer.publish(topic, record, trace))

    async def delete(self, topic: Topic[Any], key: str) -> None:
        """Queues the deletion of a key of a compacted topic."""
        self._unsettled.append(await self._producer.delete(topic, key))

    async def settle(self) -> None:
        """Returns when the broker has all that was published so far. Raises KafkaError where it has not."""
        unsettled, self._unsettled = self._unsettled, []
        await settle(unsettled)

    def passed(self, positions: Iterable[tuple[tuple[str, int], int]]) -> None:
        """Records were processed: those that are not held are finished."""
        for partition, offset in positions:
            watermark = self._watermarks.get(partition)
            if watermark:
                watermark.passed(offset)

    def committable(self) -> dict[TopicPartition, int]:
        """The offset up to which everything is finished, by partition."""
        return {partition: watermark.committable for partition, watermark in self._watermarks.items()}

    @property
    def closed(self) -> bool:
        """The partitions have gone."""
        return self._closed

    def close(self) -> None:
        """The partitions go."""
        self._closed = True
        self._watermarks.clear()


class Processor(Generic[R]):
    """Processes the records of one assignment. Made anew for each, so that it begins with empty state.

    No two of its methods run at the same time.
    """

    async def load(self) -> None:
        """Rebuilds state from the log, before the first record. Tried again until it succeeds or the partitions go."""

    async def process(self, batch: Sequence[Received[R]]) -> None:
        """Processes records, in order within a partition; finished when it returns, but for those that it held.

        Raises:
            RetryLater: what it needs is away: the same batch comes again after a pause; so with KafkaError.
            Exception: each record is given alone. One that fails again while others succeed becomes a dead letter;
                where record after record fails, they are kept and tried again (`libs.bus.suspicion`).
        """
        raise NotImplementedError

    async def tick(self) -> None:
        """Called in the interval that `GroupMember` was given."""

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        """A record became a dead letter: the time to answer its client. Tried again on KafkaError."""

    async def hand_over(self) -> None:
        """The partitions go: returns when the next owner finds on the log what was begun here."""

    async def drain(self) -> None:
        """The service stops: the time to finish what runs. With ``drains_on`` (`GroupMember`) after `hand_over`."""


def _partition(received: Received[Record]) -> tuple[str, int]:
    return received.topic.name, received.partition
