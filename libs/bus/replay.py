"""Many readers of one partition, each of one key and from an offset of its own, that share their fetches.

A pass goes over the partition once for all who wait when it begins. Who needs no more than what is before a pass joins
it; passes that meet become one. So a thousand readers that come at once cost about as much as one, and at the log's end
there is a single pass.
"""

import asyncio
from typing import Any, Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from contracts.topic import Topic
from libs.bus.reader import PartitionReader
from libs.bus.records import Raw
from libs.bus.settings import BusSettings
from libs.runtime.background import Tasks

log = structlog.get_logger()

MOST_RECORDS = 500
FETCH_BYTES = 1024 * 1024
WAIT_MS = 1_000
RETRY_S = 0.3


class LogReader(Protocol):
    """One who reads."""

    key: bytes
    """Of the records that it is given."""
    offset: int
    """Where it begins; where it goes on, once it wanted no more."""

    def take(self, raw: Raw) -> bool:
        """Takes a record in. False: it wants no more, and may join again."""

    def passed(self, offset: int, *, at_end: bool) -> None:
        """It has been given all before this offset.

        Args:
            at_end: there is no more on the log now.
        """

    def gone(self) -> None:
        """The log does not hold the offset at which it begins."""


class Replay:
    """The readers of one partition."""

    def __init__(self, settings: BusSettings, topic: Topic[Any], partition: int, places: asyncio.Semaphore) -> None:
        """
        Args:
            places: how many passes there may be at a time, over all partitions.
        """
        self._settings = settings
        self._partition = TopicPartition(topic.name, partition)
        self._places = places
        self._waiting: set[LogReader] = set()
        self._passes: list[_Pass] = []
        self._tasks = Tasks(f"replay {topic.name}")
        self._beginning: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Nobody reads."""
        return not self._waiting and not self._tasks

    def join(self, reader: LogReader) -> None:
        """Begins to give it records."""
        found = [one for one in self._passes if one.position is not None and one.position <= reader.offset]
        if found:
            max(found, key=lambda one: one.position or 0).add(reader)
            return
        self._waiting.add(reader)
        if self._beginning is None or self._beginning.done():
            self._beginning = self._tasks.spawn(self._begin())

    def leave(self, reader: LogReader) -> None:
        """Gives it no more."""
        self._waiting.discard(reader)
        for one in self._passes:
            one.remove(reader)

    async def stop(self) -> None:
        """Ends all passes."""
        await self._tasks.cancel()

    async def _begin(self) -> None:
        while self._waiting:
            await self._places.acquire()
            readers, self._waiting = self._waiting, set()
            self._tasks.spawn(self._run(_Pass(readers)))
            # Those who come until the pass has its position go with the next.
            await asyncio.sleep(0)

    async def _run(self, one: "_Pass") -> None:
        reader = PartitionReader(self._settings, wait_ms=WAIT_MS, most_bytes=FETCH_BYTES)
        self._passes.append(one)
        try:
            await reader.start()
            await self._read(one, reader)
        except (KafkaError, OSError) as error:
            log.warning("the log is read again", topic=self._partition.topic, error=type(error).__name__)
            await asyncio.sleep(RETRY_S)
        finally:
            self._passes.remove(one)
            self._places.release()
            await reader.stop()
        for left in one.readers():
            self.join(left)

    async def _read(self, one: "_Pass", reader: PartitionReader) -> None:
        chosen = self._partition
        reader.assign([chosen])
        first = (await reader.first_offsets([chosen]))[chosen]
        end = (await reader.end_offsets([chosen]))[chosen]
        one.keep(first, end)
        one.position = min((found.offset for found in one.readers()), default=end)
        reader.resume({chosen: one.position})
        # A fetch that finds nothing would take its time to say so.
        one.give([], one.position, at_end=one.position >= end)
        while one.readers():
            raws = (await reader.fetch(most=MOST_RECORDS, within_ms=WAIT_MS)).get(chosen, [])
            begin: int = one.position
            until: int = raws[-1].offset + 1 if raws else begin
            other = self._met(one, begin, until)
            if other is not None and other.position is not None:
                until = other.position
            one.give([raw for raw in raws if raw.offset < until], until, at_end=until >= reader.end_seen(chosen))
            if other is not None:
                other.adopt(one)
                return
            # What was fetched before is there at once: others are to go on meanwhile.
            await asyncio.sleep(0)

    def _met(self, one: "_Pass", begin: int, until: int) -> "_Pass | None":
        for other in self._passes:
            if other is not one and other.position is not None and begin <= other.position <= until:
                return other
        return None


class _Pass:
    """One way over the partition, and who goes along."""

    def __init__(self, readers: set[LogReader]) -> None:
        self.position: int | None = None
        """Its readers have been given all before it; None: it has not begun."""
        self._by_key: dict[bytes, list[LogReader]] = {}
        for reader in readers:
            self.add(reader)

    def readers(self) -> list[LogReader]:
        return [reader for found in self._by_key.values() for reader in found]

    def add(self, reader: LogReader) -> None:
        self._by_key.setdefault(reader.key, []).append(reader)

    def remove(self, reader: LogReader) -> None:
        found = self._by_key.get(reader.key)
        if found and reader in found:
            found.remove(reader)
            if not found:
                del self._by_key[reader.key]

    def adopt(self, other: "_Pass") -> None:
        for reader in other.readers():
            self.add(reader)
        other._by_key.clear()

    def keep(self, first: int, end: int) -> None:
        """Leaves out who begins where the log has nothing."""
        for reader in self.readers():
            if not first <= reader.offset <= end:
                self.remove(reader)
                reader.gone()

    def give(self, raws: list[Raw], until: int, *, at_end: bool) -> None:
        by_key = self._by_key
        for raw in raws:
            for reader in tuple(by_key.get(raw.key, ())):
                if raw.offset < reader.offset:
                    continue
                more = reader.take(raw)
                reader.offset = raw.offset + 1
                if not more:
                    self.remove(reader)
        self.position = until
        for reader in self.readers():
            # Who joined ahead of the pass has not begun.
            if reader.offset <= until:
                reader.offset = until
                reader.passed(until, at_end=at_end)
