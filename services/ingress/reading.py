"""Answers that are read from the log: again, or from another ingress than the one that was asked."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from contracts import topics
from contracts.record import Refusal, ReplyAddress, RequestId
from contracts.replies import Reply, ReplyChunk, ReplyEnded, ReplyRecord, ReplyStarted
from contracts.topic import Topic
from libs.bus.records import PoisonError, Raw, decode
from libs.bus.replay import LogReader, Replay
from libs.bus.service import Service
from libs.runtime.budget import Budget
from services.ingress.core.errors import NotFound, RateLimited, Unavailable
from services.ingress.core.sequence import MissingBytesError, Sequence
from services.ingress.core.stream_ids import StreamId
from services.ingress.waiting import BROKEN, MOST_BUFFERED, Replies, Waiting

MOST_PASSES = 8
"""Over the log at a time: each has a connection to the broker, and up to two fetches in memory."""
MOST_READERS = 4_000
"""Of one ingress."""
MOST_OF_READER = 1_024
GONE = Refusal(status=404, message="There is no such stream: it is not yours, or the log does not hold it any more.")
INCOMPLETE = Refusal(status=502, message="A part of this answer is missing on the log.")


class Reading(Replies):
    """One answer from an offset on; no more than `MOST_BUFFERED` of it is in memory."""

    __slots__ = ("_began", "_first", "_joined", "_reader", "_replay", "_sequence", "begins_at", "key", "offset")

    def __init__(
        self,
        replay: Replay,
        request_id: RequestId,
        reply_to: ReplyAddress,
        offset: int,
        *,
        at: int = 0,
        reader: str | None = None,
        seal: bytes | None = None,
    ) -> None:
        """
        Args:
            offset: where its records are looked for.
            at: so many bytes of the stream are not wanted.
            reader: whose it must be, see `contracts.replies.reader_of`; the first record must be at ``offset`` then.
                None: it is known.
            seal: see `Replies`.
        """
        super().__init__(request_id, reply_to, seal)
        self.key = request_id.encode()
        self.offset = offset
        self._replay = replay
        self.begins_at = offset
        """The offset of its first record, once that has come."""
        self._first = offset
        self._reader = reader
        self._began = False
        self._joined = False
        self._sequence = Sequence(at)

    async def next(self) -> Reply | None:
        """See `Replies.next`."""
        if not self._records and not self._joined and not self._ended:
            self._joined = True
            self._replay.join(self)
        return await super().next()

    def close(self) -> None:
        """Reads no more."""
        self._joined = False
        self._replay.leave(self)

    def take(self, raw: Raw) -> bool:
        """See `LogReader.take`."""
        if self._ended:
            return False
        try:
            record = decode(raw).record
        except PoisonError:
            self.fail(BROKEN)
            return False
        self._joined = self._take(record, raw.offset)
        return self._joined

    def _take(self, record: object, offset: int) -> bool:
        if not isinstance(record, ReplyStarted | ReplyChunk | ReplyEnded):
            return True
        if not self._began and self._reader is not None:
            theirs = isinstance(record, ReplyStarted | ReplyEnded) and record.reader == self._reader
            if not theirs or offset != self._first:
                self.fail(GONE)
                return False
        if not self._began:
            self._began, self.begins_at = True, offset
        if self._sequence.is_old(record):
            return True
        opened = self._opened(record)
        if opened is None:
            return False
        record = opened
        try:
            if isinstance(record, ReplyChunk):
                piece = self._sequence.take(record)
                if piece is not None:
                    self._buffered += len(piece.content)
                    self._put(piece)
                return self._buffered <= MOST_BUFFERED
            if isinstance(record, ReplyEnded):
                if record.size > self._sequence.end:
                    raise MissingBytesError
                self._ended = self.answered = True
            self._put(record)
        except MissingBytesError:
            self.fail(INCOMPLETE)
        return not self._ended

    def passed(self, offset: int, *, at_end: bool) -> None:
        """See `LogReader.passed`."""
        if self._reader is not None and not self._began and offset > self._first:
            self.fail(GONE)
            self.close()
        elif at_end and not self._moved and not self._records:
            self._put(None)

    def gone(self) -> None:
        """See `LogReader.gone`."""
        self.fail(GONE)


class Readings:
    """What is read from the log by one ingress."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._places = {topic: asyncio.Semaphore(MOST_PASSES) for topic in (topics.REPLIES, topics.KEPT_REPLIES)}
        self._replays: dict[tuple[Topic[ReplyRecord], int], Replay] = {}
        self._open: set[Reading] = set()
        self._readers = Budget(MOST_READERS, MOST_OF_READER)

    def read(
        self,
        request_id: RequestId,
        reply_to: ReplyAddress,
        offset: int,
        *,
        at: int = 0,
        reader: str | None = None,
        seal: bytes | None = None,
    ) -> Reading:
        """See `Reading`."""
        topic = topics.replies_of(reply_to)
        replay = self._replay(topic, reply_to.partition)
        return Reading(replay, request_id, reply_to, offset, at=at, reader=reader, seal=seal)

    def _replay(self, topic: Topic[ReplyRecord], partition: int) -> Replay:
        replay = self._replays.get((topic, partition))
        if replay is None:
            replay = self._replays[topic, partition] = self._service.replay(topic, partition, self._places[topic])
        return replay

    @contextmanager
    def open(
        self, found: StreamId, *, at: int, reader: str, known: bool = False, seal: bytes | None = None
    ) -> Iterator[Reading]:
        """A client's reading of a stream, for as long as it goes on.

        Args:
            reader: see `contracts.replies.reader_of`.
            known: that it is the reader's, and begins at this offset or later.

        Raises:
            NotFound, RateLimited, Unavailable: there is none, or no room for another reading.
        """
        if found.partition >= self._service.bus.reply_partitions:
            raise NotFound(GONE.message)
        whose = None if known else reader
        reading = self.read(found.request_id, found.address, found.offset, at=at, reader=whose, seal=seal)
        with self._place(reader), self.opened(reading):
            yield reading

    @contextmanager
    def opened(self, reading: Reading) -> Iterator[Reading]:
        """A client's reading, for as long as it goes on."""
        self._open.add(reading)
        try:
            yield reading
        finally:
            self._open.remove(reading)
            reading.close()

    @contextmanager
    def look(self, found: StreamId, reader: str, looking: LogReader) -> Iterator[None]:
        """Gives a client's stream as far as it is there to who looks. Raises as `open` does."""
        with self._place(reader):
            replay = self._replay(topics.replies_of(found.address), found.partition)
            replay.join(looking)
            try:
                yield
            finally:
                replay.leave(looking)

    @contextmanager
    def _place(self, reader: str) -> Iterator[None]:
        if self._readers.held >= MOST_READERS:
            raise Unavailable("Too many streams are read here; try again in a moment.", retry_after_s=1)
        if not self._readers.take(reader):
            raise RateLimited("You read too many streams at once; end some first.", retry_after_s=1)
        try:
            yield
        finally:
            self._readers.give(reader)

    def note_silence(self) -> None:
        """See `Replies.note_silence`."""
        for reading in self._open:
            reading.note_silence()

    def reread(self, waiting: Waiting, offset: int, at: int) -> Replies:
        """The rest of an answer that comes to this ingress."""
        return self.read(waiting.request_id, waiting.reply_to, offset, at=at, seal=waiting.seal)

    async def start(self) -> None:
        """Nothing is read before somebody asks."""

    async def stop(self) -> None:
        """Ends all reading."""
        for replay in self._replays.values():
            await replay.stop()
