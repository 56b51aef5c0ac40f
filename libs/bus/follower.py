"""Reading partitions outside any group, from a chosen place on and without end."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from contracts.topics import Topic
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch

log = structlog.get_logger()


class From(Enum):
    """Where a follower begins."""

    BEGINNING = "beginning"
    END = "end"


class Follower:
    """Gives every record of some partitions to ``take``, in order within each partition.

    It outlives the broker: after a pause it goes on where it was; after the loss of the log it tells ``on_new_log``
    and begins with the new log's first record.
    """

    def __init__(
        self,
        settings: BusSettings,
        watch: BrokerWatch,
        places: Collection[tuple[Topic, int]],
        take: "Callable[[Sequence[ConsumerRecord[Any, Any]]], None]",
        *,
        begin: From = From.BEGINNING,
        on_new_log: Callable[[], None] | None = None,
        fetch_wait_ms: int = 100,
    ) -> None:
        """
        Args:
            places: topics and their partition numbers.
            take: given records of one partition; must not raise.
            fetch_wait_ms: see `BusSettings.fetching`.
        """
        self._settings = settings
        self._places = [TopicPartition(topic.name, number) for topic, number in places]
        self._take = take
        self._begin = begin
        self._on_new_log = on_new_log
        self._fetching = settings.fetching()
        self._seen: dict[TopicPartition, int] = {}
        self._begin_again = False
        self._caught_up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watch = watch

    @property
    def ready(self) -> bool:
        """True once all that was on the log at the start has been taken."""
        return self._caught_up.is_set()

    async def wait_ready(self) -> None:
        """Returns once `ready` is true."""
        await self._caught_up.wait()

    def position(self, topic: Topic, partition: int) -> int:
        """The offset after the last record that was taken."""
        seen = self._seen.get(TopicPartition(topic.name, partition))
        return seen or 0

    async def start(self) -> None:
        """Begins to follow; `ready` turns true later."""
        self._watch.on_new_log(self._forget)
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Ends following."""
        if self._task:
            self._watch.off_new_log(self._forget)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _forget(self) -> None:
        self._begin_again = True

    async def _follow(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False, auto_offset_reset="earliest", **self._settings.connection(), **self._fetching
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except Exception as error:
                # Whatever it is: with this loop dead the process would go on with an ever older view.
                log.warning("follower: waiting for the broker", error=type(error).__name__)
                await asyncio.sleep(0.2)
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        if self._begin_again:
            self._begin_again = False
            self._begin = From.BEGINNING
            self._seen.clear()
            if self._on_new_log:
                self._on_new_log()
        consumer.assign(self._places)
        ends = await consumer.end_offsets(self._places)
        begins = ends if self._begin is From.END else await consumer.beginning_offsets(self._places)
        for place in self._places:
            seen = self._seen.setdefault(place, begins[place])
            consumer.seek(place, seen)
        while not self._begin_again:
            if all(self._seen[place] >= ends[place] for place in self._places):
                self._caught_up.set()
            for place, raws in (await consumer.getmany(timeout_ms=500)).items():
                if raws:
                    self._seen[place] = raws[-1].offset + 1
                    self._take(raws)
