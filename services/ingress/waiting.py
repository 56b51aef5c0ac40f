"""Clients that wait for replies, and the replies as they come off the log."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord

from contracts import headers as names
from contracts.headers import header
from contracts.record import Refusal, RequestId
from contracts.replies import Outcome, Reply, ReplyChunk, ReplyEnded, ReplyStarted
from libs.bus.dead_letters import DeadLetters

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
        "ingress_id",
        "request_id",
    )

    def __init__(self, request_id: RequestId, ingress_id: str) -> None:
        self.request_id = request_id
        self.ingress_id = ingress_id
        self.answered = False
        """The log told how the request ended; else the wait was given up here."""
        self._started = False
        self._ended = False
        self._records: deque[Reply] = deque()
        self._buffered = 0
        self._next_seq = 0
        self._wake: asyncio.Future[None] | None = None

    async def next(self) -> Reply:
        """The next record; `ReplyEnded` is the last."""
        while not self._records:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        record = self._records.popleft()
        if isinstance(record, ReplyChunk):
            self._buffered -= len(record.data)
        return record

    def push(self, record: Reply) -> None:
        """Takes a record of the log in; what was told twice is dropped."""
        if self._ended or record.ingress_id != self.ingress_id:
            return
        if isinstance(record, ReplyStarted):
            if self._started:
                return
            self._started = True
        elif isinstance(record, ReplyChunk):
            if record.seq < self._next_seq:
                return
            self._next_seq = record.seq + 1
            self._buffered += len(record.data)
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
            self._put(
                ReplyEnded(
                    request_id=self.request_id,
                    ingress_id=self.ingress_id,
                    outcome=Outcome.FAILED,
                    status=refusal.status,
                    refusal=refusal,
                )
            )

    def _put(self, record: Reply) -> None:
        self._records.append(record)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class WaitingRoom:
    """All clients of one ingress that wait."""

    def __init__(self, ingress_id: str, dead_letters: DeadLetters) -> None:
        self._ingress_id = ingress_id
        self._dead_letters = dead_letters
        self._waiting: dict[RequestId, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, request_id: RequestId) -> Waiting:
        """Begins to wait. Call it before the request is published."""
        waiting = self._waiting[request_id] = Waiting(request_id, self._ingress_id)
        return waiting

    def leave(self, request_id: RequestId) -> None:
        """Ends waiting; later replies are dropped."""
        self._waiting.pop(request_id, None)

    def fail_all(self, refusal: Refusal) -> None:
        """Ends every wait."""
        for waiting in self._waiting.values():
            waiting.fail(refusal)

    def take(self, raws: "Sequence[ConsumerRecord[Any, Any]]") -> None:
        """Hands records of the replies partition to those who wait for them."""
        for raw in raws:
            waiting = self._waiting.get(header(raw.headers, names.SUBJECT) or "")
            if waiting is None and header(raw.headers, names.TYPE) in KNOWN_TYPES:
                # Of a client who went away; not worth reading.
                continue
            record = self._dead_letters.read(raw)
            if waiting is None:
                continue
            if record is None:
                waiting.fail(BROKEN)
                continue
            assert isinstance(record, ReplyStarted | ReplyChunk | ReplyEnded)
            waiting.push(record)
