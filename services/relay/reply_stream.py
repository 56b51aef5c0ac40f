"""The way of a stream's events onto the log: in order, numbered, whole, and no faster than the log takes them."""

import asyncio
import contextlib
from functools import partial

import structlog
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.decisions import QuotaWindow
from contracts.record import Lasting
from contracts.replies import EVENTS, STREAM_WINDOW, Reply, ReplyChunk, ReplyStarted, reader_of
from contracts.requests import AddressedRequest
from libs.bus.producer import Acknowledgement, Producer, settle
from libs.chat.event_ids import numbered
from libs.sealing.replies import seal_chunk
from services.relay.beat import Beat
from services.relay.core.continuation import Continuation
from services.relay.core.noting import Notes

log = structlog.get_logger()

MOST_BUFFERED = 64 * 1024
MOST_HELD = 8 * 1024 * 1024
"""Of an answer that is held back until it is whole."""
RETRY_S = 0.2


class HeldTooLong(Exception):
    """An answer that is held back is longer than may be."""


class ReplyStream:
    """Writes `ReplyStarted`, then `ReplyChunk` records.

    One chunk is under way at a time and what comes meanwhile goes together in the next, at the next `Beat`: an idle
    log adds no delay, a busy one gets fewer and fuller records. So does a client that reads slowly: no chunk is written
    while it has `STREAM_WINDOW` to read. No task waits for chunks and acknowledgements: each would wake it.
    """

    def __init__(
        self,
        producer: Producer,
        beat: Beat,
        request: AddressedRequest,
        windows: list[QuotaWindow],
        trace: str,
        key: bytes | None = None,
        goes_on: Continuation | None = None,
    ) -> None:
        """
        Args:
            beat: all streams' own.
            key: with which its chunks are sealed.
            goes_on: with what is on the log already.
        """
        self._producer = producer
        self._beat = beat
        self._key = key
        self._request = request
        self._windows = windows
        self._trace = trace
        self._windowed = request.reply_to.lasting is Lasting.CONNECTION
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._goes_on = goes_on is not None
        self._call = goes_on.call if goes_on else 0
        # Its client may have read all of it.
        self._written = self._read = goes_on.size if goes_on else 0
        self._due = False
        """`_flush` is called soon."""
        self._under_way: asyncio.Future[None] | Acknowledgement | None = None
        self._announced = self._goes_on
        """`ReplyStarted` is on its way, or on the log."""
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._holds = False
        self.size = self._written
        """Bytes of the stream so far; those that are not on the log yet included."""
        self.provider_id: str | None = None
        self.tried: list[str] = goes_on.tried if goes_on else []
        self.dropped: list[str] = []
        self.cached_s: int | None = None
        self.model: str | None = None
        self.content_type = EVENTS
        self.upstream_ms = goes_on.upstream_ms if goes_on else 0
        self.notes: Notes | None = None
        """Take down what the client is sent, where its organization keeps that."""
        self.waited_ms = 0
        """The others are published with the first chunk."""

    def hold(self) -> None:
        """Nothing is published until `release`."""
        self._holds = True

    @property
    def holds(self) -> bool:
        """See `hold`."""
        return self._holds

    @property
    def held(self) -> str:
        """What is held back."""
        return b"".join(self._buffer).decode(errors="replace") if self._holds else ""

    async def release(self) -> None:
        """Publishes what is held back, and returns when the log has it."""
        self._holds = False
        await self.close()

    def drop(self) -> None:
        """Forgets what is held back."""
        self._buffer, self._buffered = [], 0
        self.notes = Notes() if self.notes else None

    @property
    def started(self) -> bool:
        """The client has, or will have, the status 200; or an answer is held back."""
        return self._announced or bool(self._buffer)

    @property
    def full(self) -> bool:
        """So much is not on the log yet that the next `write` is to wait for `drain`."""
        return self._buffered >= MOST_BUFFERED and not self._holds

    @property
    def unread(self) -> bool:
        """The client has so much to read that nothing more is written."""
        return self._windowed and self._written - self._read >= STREAM_WINDOW

    def note_first_byte(self, waited_ms: int) -> None:
        """Providers were waited for so long; of a stream that goes on this is known already."""
        if not self._goes_on:
            self.upstream_ms = waited_ms

    def read(self, size: int) -> None:
        """The client has been sent so much of the stream, in all."""
        self._read = max(self._read, size)
        self._flush_soon()

    def write(self, text: str | bytes) -> None:
        """Adds events, which are numbered here, or bytes; a stream has one of them."""
        if not text:
            return
        if self._holds and self._buffered + len(text) > MOST_HELD:
            raise HeldTooLong
        if self.notes:
            self.notes.add(text)
        content = text if isinstance(text, bytes) else numbered(text, self.size)
        self.size += len(content)
        self._buffer.append(content)
        self._buffered += len(content)
        self._flush_soon()

    def tail(self, events: str) -> str:
        """The last events, numbered, as they travel in `ReplyEnded`."""
        return numbered(events, self.size).decode()

    async def drain(self) -> None:
        """Returns when it is not `full`."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """Returns when the log has everything. Whoever is cancelled meanwhile may close again."""
        self._closing = True
        while True:
            self._flush()
            if self._under_way is None:
                return
            # What fails is tried again.
            with contextlib.suppress(KafkaError):
                await asyncio.shield(self._under_way)
            # `_settled` is called by then.
            await asyncio.sleep(0)

    def _flush_soon(self) -> None:
        """What comes until then goes together."""
        if self._due or self._under_way or self._holds or not self._buffer:
            return
        self._due = True
        if self._announced:
            self._beat.call(self._flush)
        else:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._due = False
        if self._under_way or self._holds or not self._buffer or (self.unread and not self._closing):
            return
        pieces, self._buffer, self._buffered = self._buffer, [], 0
        self._room.set()
        try:
            self._publish(b"".join(pieces))
        except Exception as error:
            # As if the log had refused it for good: whoever closes the stream hears of it.
            self._under_way = asyncio.get_running_loop().create_future()
            self._under_way.set_exception(error)

    def _publish(self, content: bytes) -> None:
        request = self._request
        chunk = ReplyChunk(
            request_id=request.request_id, reply_to=request.reply_to, at=self._written, content=content, call=self._call
        )
        self._written = chunk.end
        chunk = seal_chunk(chunk, self._key) if self._key else chunk
        records: list[Reply] = [chunk] if self._announced else [self._started(), chunk]
        at_once = self._at_once(chunk) if self._announced else None
        self._announced = True
        self._await(at_once or asyncio.ensure_future(self._put(records)), records)

    def _at_once(self, chunk: ReplyChunk) -> Acknowledgement | None:
        try:
            return self._producer.publish_if_room(topics.replies_of(self._request.reply_to), chunk, self._trace)
        except KafkaError:
            # `_put` fails of the same, and is tried again.
            return None

    def _await(self, under_way: "asyncio.Future[None] | Acknowledgement", records: list[Reply]) -> None:
        self._under_way = under_way
        under_way.add_done_callback(partial(self._settled, records))

    def _settled(self, records: list[Reply], under_way: "asyncio.Future[None] | Acknowledgement") -> None:
        if under_way.cancelled():
            return
        if isinstance(error := under_way.exception(), KafkaError):
            self._await(asyncio.ensure_future(self._put_again(records, error)), records)
        elif error is None:
            self._under_way = None
            self._flush_soon()

    def _started(self) -> ReplyStarted:
        request = self._request
        return ReplyStarted(
            request_id=request.request_id,
            reply_to=request.reply_to,
            reader=reader_of(request.caller.account_id, request.caller.ip),
            content_type=self.content_type,
            windows=self._windows,
            waited_ms=self.waited_ms,
            provider_id=self.provider_id,
            tried=self.tried,
            dropped=self.dropped,
            cached_s=self.cached_s,
            model=self.model,
            upstream_ms=self.upstream_ms,
        )

    async def _put(self, records: list[Reply]) -> None:
        topic = topics.replies_of(self._request.reply_to)
        await settle([await self._producer.publish(topic, record, self._trace) for record in records])

    async def _put_again(self, records: list[Reply], error: KafkaError) -> None:
        # The same record again is harmless: the ingress knows it by its number.
        log.warning("reply is published again", error=type(error).__name__)
        await asyncio.sleep(RETRY_S)
        await self._put(records)
