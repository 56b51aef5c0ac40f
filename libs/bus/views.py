"""Control views: compacted topics held in memory, and known to be whole before a service says it is ready."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.record import Record
from contracts.topics import Topic
from libs.bus.reading import begin_again_if_wiped
from libs.bus.received import PoisonError, parse
from libs.bus.settings import BusSettings

log = structlog.get_logger()

R = TypeVar("R", bound=Record)


class View(Generic[R]):
    """The newest record of each key of one topic. Read it like a dict; it changes between two awaits only."""

    def __init__(self, topic: Topic, kind: type[R], on_change: Callable[[str, R | None], None] | None = None) -> None:
        """
        Args:
            topic: a compacted topic whose records are of type ``kind``.
            on_change: told of each new record, and of deletions with None.
        """
        self.topic = topic
        self.entries: dict[str, R] = {}
        self._kind = kind
        self._on_change = on_change

    def get(self, key: str) -> R | None:
        """The record of a key, if there is one."""
        return self.entries.get(key)

    def apply(self, key: str, record: Record | None) -> None:
        """Takes one record of the log in."""
        if record is None:
            self.entries.pop(key, None)
        elif isinstance(record, self._kind):
            self.entries[key] = record
        if self._on_change:
            self._on_change(key, self.entries.get(key))


class ViewReader:
    """Follows the topics of some views. One for each process; every process reads all of each topic."""

    def __init__(self, settings: BusSettings, views: Sequence[View[Any]]) -> None:
        self._settings = settings
        self._views = {view.topic.name: view for view in views}
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    @property
    def ready(self) -> bool:
        """True once all that was on the log at the start is in the views."""
        return self._caught_up.is_set()

    async def wait_ready(self) -> None:
        """Returns once the views are whole."""
        await self._caught_up.wait()

    async def start(self) -> None:
        """Begins to follow; `ready` turns true later."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Ends following; the views stay as they are."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                **self._settings.connection(),
                **(self._settings.fetching() | {"fetch_max_wait_ms": 100}),
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except KafkaError as error:
                log.warning("views: broker is away", error=repr(error)[:200])
                await asyncio.sleep(0.2)
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        partitions = [TopicPartition(name, 0) for name in self._views]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        behind = {partition for partition in partitions if ends[partition] > 0}
        while True:
            for partition in list(behind):
                if await consumer.position(partition) >= ends[partition]:
                    behind.discard(partition)
            if not behind:
                self._caught_up.set()
            found = await consumer.getmany(timeout_ms=500)
            if not found:
                await begin_again_if_wiped(consumer, partitions)
            for partition, raws in found.items():
                for raw in raws:
                    self._take(self._views[partition.topic], raw)

    def _take(self, view: View[Any], raw: Any) -> None:
        key = raw.key.decode("utf-8", "replace") if raw.key else ""
        if raw.value is None:
            view.apply(key, None)
            return
        try:
            view.apply(key, parse(raw).record)
        except PoisonError as error:
            # A view has no one to answer to; the entry keeps its last good value.
            log.error("view: broken record", topic=raw.topic, offset=raw.offset, reason=str(error))
