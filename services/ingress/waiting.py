"""Clients that wait for replies, and the replies as they come off the log."""

import asyncio
from collections import deque

from contracts import headers as names
from contracts.headers import header
from contracts.record import Refusal, ReplyAddress, RequestId
from contracts.replies import Reply, ReplyChunk, ReplyEnded, ReplyStarted, refused
from libs.bus.records import DeadLetter, Raw, Received
from libs.telemetry.instruments import REPLY_BUFFER, WAITING

KNOWN_TYPES = frozenset(names.TYPE_PREFIX + kind.__name__ for kind in (ReplyStarted, ReplyChunk, ReplyEnded))
MOST_BUFFERED = 8 * 1024 * 1024
SLOW = Refusal(status=503, message="The connection reads too slowly; the rest of the answer was given up.")
BROKEN = Refusal(status=500, message="A record of the answer could not be read; it was kept for the operator.")


class Waiting:
    """One client's replies, in order and without duplicates."""

    __slots__ = (
        "_buffered",
        "_ended",
        "_next_seq",
        "_records",
        "_started",
        "_wake",
        "answered",
        "reply_to",
        "request_id",
    )

    def __init__(self, request_id: RequestId, reply_to: ReplyAddress) -> None:
        self.request_id = request_id
        self.reply_to = reply_to
        self.answered = False
        """The end of the request came off the log; else the wait was given up here."""
        self._started = False
        self._ended = False
        self._records: deque[Reply] = deque()
        self._buffered = 0
        self._next_seq = 0
        self._wake: asyncio.Future[None] | None = None

    @property
    def buffered(self) -> int:
        """Bytes that were not sent yet."""
        return self._buffered

    async def next(self) -> Reply:
        """The next record; `ReplyEnded` is the last."""
        while not self._records:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        record = self._records.popleft()
        if isinstance(record, ReplyChunk):
            self._buffered -= len(record.sent)
        return record

    def push(self, record: Reply) -> None:
        """Takes in a record of the log; what was published twice is dropped."""
        if self._ended or record.reply_to.ingress_id != self.reply_to.ingress_id:
            return
        if isinstance(record, ReplyStarted):
            if self._started:
                return
            self._started = True
        elif isinstance(record, ReplyChunk):
            if record.seq < self._next_seq:
                return
            self._next_seq = record.seq + 1
            self._buffered += len(record.sent)
            if self._buffered > MOST_BUFFERED:
                self.fail(SLOW)
                return
        else:
            self._ended = self.answered = True
        self._put(record)

    def fail(self, refusal: Refusal) -> None:
        """Ends it from here: no more will come, or not in time."""
        if not self._ended:
            self._ended = True
            self._put(refused(self.request_id, self.reply_to, refusal))

    def _put(self, record: Reply) -> None:
        self._records.append(record)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class WaitingRoom:
    """All clients of one ingress that wait."""

    def __init__(self) -> None:
        self._waiting: dict[RequestId, Waiting] = {}
        WAITING.observe("room", lambda: [(len(self), ())])
        REPLY_BUFFER.observe("room", lambda: [(sum(one.buffered for one in self._waiting.values()), ())])

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, request_id: RequestId, reply_to: ReplyAddress) -> Waiting:
        """Begins to wait. Call it before the request is published."""
        waiting = self._waiting[request_id] = Waiting(request_id, reply_to)
        return waiting

    def leave(self, request_id: RequestId) -> None:
        """Ends waiting; later replies are dropped."""
        self._waiting.pop(request_id, None)

    def fail_all(self, refusal: Refusal) -> None:
        """Ends every wait."""
        for waiting in self._waiting.values():
            waiting.fail(refusal)

    def wanted(self, raw: Raw) -> bool:
        """False for a record of a client who went away: not worth decoding."""
        return header(raw.headers, names.SUBJECT) in self._waiting or header(raw.headers, names.TYPE) not in KNOWN_TYPES

    def receive(self, received: Received[Reply]) -> None:
        """Hands a record of the replies partition to who waits for it."""
        waiting = self._waiting.get(received.record.request_id)
        if waiting:
            waiting.push(received.record)

    def on_dead_letter(self, letter: DeadLetter) -> None:
        """Ends the wait for an answer that cannot be read."""
        waiting = self._waiting.get(letter.request_id or "")
        if waiting:
            waiting.fail(BROKEN)
