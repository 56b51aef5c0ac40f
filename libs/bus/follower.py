"""Reading partitions outside any group, from a chosen offset on and without end."""

import asyncio
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any

import structlog
from aiokafka import TopicPartition

from contracts.topic import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.reader import PartitionReader
from libs.bus.records import DeadLetter, Deleted, PoisonError, Raw, Received, decode, decode_state
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY, Trust
from libs.runtime.background import Repeated
from libs.telemetry.logs import where

log = structlog.get_logger()

WAIT_MS = 5_000
"""It never changes partitions, so the broker may hold its fetches for long."""


class From(Enum):
    """Where a follower begins."""

    BEGINNING = "beginning"
    END = "end"


class Follower:
    """Gives every record of some partitions to a function, in order within each partition.

    It outlives the broker: after a pause it goes on where it was.
    """

    def __init__(
        self,
        settings: BusSettings,
        dead_letters: DeadLetters,
        partitions: Collection[tuple[Topic[Any], int]],
        receive: Callable[[Received[Any]], None],
        *,
        begin: From = From.BEGINNING,
        wanted: Callable[[Raw], bool] | None = None,
        on_deleted: Callable[[Deleted], None] | None = None,
        on_dead_letter: Callable[[DeadLetter], None] | None = None,
        trust: Trust = NOBODY,
    ) -> None:
        """
        Args:
            receive: given each record. One on which it fails is logged and passed over.
            wanted: records for which it is false are passed over undecoded.
            on_deleted: for compacted topics: given the keys that end.
            on_dead_letter: given what could not be decoded or believed.
            trust: whose signatures are believed.
        """
        self._settings = settings
        self._dead_letters = dead_letters
        self._partitions = [TopicPartition(topic.name, number) for topic, number in partitions]
        self._receive = receive
        self._begin = begin
        self._wanted = wanted
        self._on_deleted = on_deleted
        self._on_dead_letter = on_dead_letter
        self._trust = trust
        self._next: dict[TopicPartition, int] = {}
        self._caught_up = asyncio.Event()
        names = ", ".join(sorted({partition.topic for partition in self._partitions}))
        self.background = Repeated(f"follow {names}", self._follow)

    @property
    def ready(self) -> bool:
        """True once all that was on the log at the start has been received."""
        return self._caught_up.is_set()

    async def wait_ready(self) -> None:
        """Returns once `ready` is true."""
        await self._caught_up.wait()

    def position(self, topic: Topic[Any], partition: int) -> int:
        """The offset after the last record that was received."""
        return self._next.get(TopicPartition(topic.name, partition), 0)

    async def start(self) -> None:
        """Begins to follow; `ready` turns true later."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends following."""
        await self.background.stop()

    async def _follow(self) -> None:
        reader = PartitionReader(self._settings, wait_ms=WAIT_MS)
        await reader.start()
        try:
            reader.assign(self._partitions)
            ends = await reader.end_offsets(self._partitions)
            begins = ends if self._begin is From.END else await reader.first_offsets(self._partitions)
            for partition in self._partitions:
                self._next.setdefault(partition, begins[partition])
            reader.resume(self._next)
            while True:
                if not self.ready and all(self._next[partition] >= end for partition, end in ends.items()):
                    self._caught_up.set()
                for partition, raws in (await reader.fetch()).items():
                    for raw in raws:
                        self._take(raw)
                    self._next[partition] = raws[-1].offset + 1
        finally:
            await reader.stop()

    def _take(self, raw: Raw) -> None:
        if self._wanted and not self._wanted(raw):
            return
        try:
            found = decode_state(raw, self._trust) if self._on_deleted else decode(raw, self._trust)
        except PoisonError as error:
            letter = self._dead_letters.write_soon(raw, str(error))
            if self._on_dead_letter:
                self._on_dead_letter(letter)
            return
        try:
            if isinstance(found, Received):
                self._receive(found)
            elif self._on_deleted:
                self._on_deleted(found)
        except Exception as error:
            # Read again, it would fail again, and hold up all that follows.
            log.error("record cannot be received", topic=raw.topic, offset=raw.offset, **where(error))
