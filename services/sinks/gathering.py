"""Records in, files out: what a sink of files does in place of `SinkProcessor`.

Rows are gathered until they are many, large or old enough, and are not committed before their file is there. What a
file has already, from before a kill or a backfill, is passed over: the store's own names say it.
"""

import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from contracts.clock import now_ms
from contracts.contents import ContentRecorded
from contracts.record import Record
from contracts.topic import Topic
from libs.bus.processor import Processor, RetryLater, Work
from libs.bus.records import DeadLetter, Received
from libs.config.sinks import FilesSink, S3Sink
from services.sinks.core.backoff import pause_s
from services.sinks.core.files import (
    MOST_SPAN,
    Row,
    Slot,
    Span,
    begins_after,
    folder_of,
    span_of,
    spans_of,
    table_of,
)
from services.sinks.opening import Opening
from services.sinks.processor import Tally
from services.sinks.sink import SinkError, UnavailableError
from services.sinks.stores import Store

log = structlog.get_logger()

T = TypeVar("T")
MOST_BYTES = 32 * 1024 * 1024
"""Of what is gathered."""
TICK_S = 1.0
DELETE_EVERY_S = 3600.0
Place = tuple[str, int]
"""A folder and a partition."""


@dataclass(slots=True)
class Gathered:
    """The rows of a file to be."""

    rows: list[Row] = field(default_factory=list)
    received: list[Received[Record]] = field(default_factory=list)
    bytes: int = 0
    since_s: float = 0.0


class GatheringProcessor(Processor[Record]):
    """Holds records until their file is written. No two of its methods run at the same time."""

    def __init__(
        self,
        store: Store,
        config: FilesSink | S3Sink,
        opening: Opening,
        folders: Mapping[Topic[Any], str],
        work: Work,
        tally: Tally,
    ) -> None:
        """
        Args:
            folders: of the files, by topic.
        """
        self._store = store
        self._config = config
        self._opening = opening
        self._folders = folders
        self._work = work
        self._tally = tally
        self._gathered: defaultdict[Slot, Gathered] = defaultdict(Gathered)
        self._seen: dict[tuple[str, int], int] = {}
        """The highest offset by topic and partition: a batch that comes again is gathered once."""
        self._there: dict[Place, list[Span]] = {}
        self._not_before_s = 0.0
        self._deletes_at_s = 0.0

    async def process(self, batch: Sequence[Received[Record]]) -> None:
        """Raises RetryLater while the store takes nothing and as much is gathered as may be."""
        for received in batch:
            place = (received.topic.name, received.partition)
            if received.offset <= self._seen.get(place, -1):
                continue
            await self._add(received)
            self._seen[place] = received.offset

    async def tick(self) -> None:
        """Writes what is old enough, and deletes what is to be kept no longer."""
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return
        try:
            for slot, gathered in list(self._gathered.items()):
                if now_s - gathered.since_s >= self._config.gather_s:
                    await self._write(slot)
            if now_s >= self._deletes_at_s:
                self._deletes_at_s = now_s + DELETE_EVERY_S
                await self._delete_expired()
        except RetryLater as error:
            log.warning("files wait", sink=self._tally.name, what=str(error))

    async def hand_over(self) -> None:
        """Writes what there is; what cannot be written, the next owner reads again."""
        try:
            await self._write_all()
        except RetryLater as error:
            log.warning("files are left to the next owner", sink=self._tally.name, what=str(error))

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        """Nothing: nobody waits for an answer."""

    async def _add(self, received: Received[Record]) -> None:
        event = self._opening.event(received)
        if event is None:
            return
        row, slot = Row(event, received.partition, received.offset), self._slot(received)
        if await self._is_there(slot, row):
            # Between what comes before and after it, which may not be in one file then.
            await self._write(slot)
            return
        gathered = self._gathered.get(slot)
        if gathered and row.offset - gathered.rows[0].offset >= MOST_SPAN:
            await self._write(slot)
        if self._full:
            await self._write_all()
        gathered = self._gathered[slot]
        gathered.since_s = gathered.since_s or time.monotonic()
        gathered.rows.append(row)
        gathered.received.append(received)
        gathered.bytes += len(str(row.event.data))
        self._work.hold(received)

    @property
    def _full(self) -> bool:
        rows = sum(len(one.rows) for one in self._gathered.values())
        return rows >= self._config.most_rows or sum(one.bytes for one in self._gathered.values()) >= MOST_BYTES

    def _slot(self, received: Received[Record]) -> Slot:
        record, folder, days = received.record, self._folders[received.topic], self._config.keep_days
        if isinstance(record, ContentRecorded):
            folder = f"{folder}/{record.organization_id}"
            days = record.keep_days if days is None else min(days, record.keep_days)
        until = day_of(received.timestamp_ms) + timedelta(days=days + 1) if days is not None else None
        return Slot(folder, received.partition, until)

    async def _is_there(self, slot: Slot, row: Row) -> bool:
        place = (slot.folder, slot.partition)
        if place not in self._there:
            folder = folder_of(*place)
            names = await self._asked(partial(self._store.names, folder, begins_after(row.offset)))
            self._there[place] = spans_of(names)
        self._there[place] = [span for span in self._there[place] if span.last >= row.offset]
        return any(span.has(slot, row) for span in self._there[place])

    async def _write_all(self) -> None:
        for slot in list(self._gathered):
            await self._write(slot)

    async def _write(self, slot: Slot) -> None:
        gathered = self._gathered.get(slot)
        if gathered is None:
            return
        name = span_of(slot, gathered.rows).name
        await self._asked(partial(self._store.put, name, table_of(gathered.rows)))
        del self._gathered[slot]
        for received in gathered.received:
            self._work.finish(received)
        self._tally.took(len(gathered.rows))

    async def _delete_expired(self) -> None:
        today = day_of(now_ms())
        for name in await self._asked(partial(self._store.names, "")):
            (span,) = spans_of([name]) or (None,)
            if span and span.slot.until and span.slot.until <= today:
                await self._asked(partial(self._store.delete, name))
                log.info("a file is deleted", sink=self._tally.name, name=name)

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        if time.monotonic() < self._not_before_s:
            raise RetryLater(f"{self._tally.name} is tried again later: {self._tally.last_error}")
        try:
            return await ask()
        except Exception as error:
            # Whatever it was: nothing is lost by a mistake here, and no single record is to blame for a file.
            known = error if isinstance(error, SinkError) else UnavailableError(type(error).__name__)
            self._tally.failed(known)
            after_s = known.after_s if isinstance(known, UnavailableError) else None
            pause = pause_s(self._tally.in_a_row, random.random(), after_s)  # noqa: S311
            self._not_before_s = time.monotonic() + pause
            raise RetryLater(f"{self._tally.name}: {known}") from None


def day_of(at_ms: int) -> date:
    """In UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()
