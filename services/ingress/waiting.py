"""Clients that wait for replies, and the replies as they come off the log."""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from contracts import headers as names
from contracts.headers import header
from contracts.record import Refusal, ReplyAddress, RequestId
from contracts.replies import PromptWanted, Reply, ReplyChunk, ReplyEnded, ReplyRecord, ReplyStarted, refused
from libs.bus.records import DeadLetter, Raw, Received
from libs.sealing.hybrid import SealError
from libs.sealing.replies import open_reply
from libs.telemetry.instruments import REPLY_BUFFER, WAITING
from services.ingress.core.sequence import MissingBytesError, Sequence
from services.ingress.withheld import Withheld

KNOWN_TYPES = frozenset(
    names.TYPE_PREFIX + kind.__name__ for kind in (ReplyStarted, ReplyChunk, ReplyEnded, PromptWanted)
)
MOST_BUFFERED = 256 * 1024
"""Bytes of one stream in memory. What is more is read from the log when the client has read these."""
SEALED = Refusal(
    status=404, message="This answer does not open: it was kept for another Idempotency-Key, or another API key."
)
STALLED_ROUNDS = 3
LATEST_S = 900.0
"""After it is due: so long a client may read on."""
OVERDUE = Refusal(status=504, message="No answer came before the deadline; try again.")
BROKEN = Refusal(status=500, message="A record of the answer could not be read; it was kept for the operator.")


class Replies:
    """One client's records, in order: a queue."""

    __slots__ = ("_buffered", "_ended", "_moved", "_records", "_wake", "answered", "reply_to", "request_id", "seal")

    def __init__(self, request_id: RequestId, reply_to: ReplyAddress, seal: bytes | None = None) -> None:
        """
        Args:
            seal: with which its records are sealed.
        """
        self.seal = seal
        self.request_id = request_id
        self.reply_to = reply_to
        self.answered = False
        """The end of the request came off the log; else the wait was given up here."""
        self._ended = False
        self._records: deque[Reply | None] = deque()
        self._buffered = 0
        self._moved = False
        self._wake: asyncio.Future[None] | None = None

    @property
    def buffered(self) -> int:
        """Bytes that were not sent yet."""
        return self._buffered

    async def next(self) -> Reply | None:
        """The next record; `ReplyEnded` is the last. None: there was none for a while."""
        while not self._records:
            await self._wait()
        record = self._records.popleft()
        if isinstance(record, ReplyChunk):
            self._buffered -= len(record.content)
        return record

    def fail(self, refusal: Refusal) -> None:
        """Ends it from here: no more will come, or not in time."""
        if not self._ended:
            self._ended = True
            self._put(refused(self.request_id, self.reply_to, refusal))

    def note_silence(self) -> None:
        """Has `next` return None where nothing came since the last call."""
        if not self._moved and not self._records and not self._ended:
            self._put(None)
        self._moved = False

    def close(self) -> None:
        """Nobody wants the rest."""

    def _opened(self, record: Reply) -> Reply | None:
        """As the client is to have it; None, and it has failed, where it does not open."""
        if self.seal is None:
            return record
        try:
            return open_reply(record, self.seal)
        except SealError:
            self.fail(SEALED)
            return None

    def _put(self, record: Reply | None) -> None:
        self._moved = True
        self._records.append(record)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _wait(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake


Reread = Callable[["Waiting", int, int], Replies]
"""Reads a client's answer from the log: given an offset at which to begin, and how many bytes are there already."""


class Waiting(Replies):
    """The replies of a client of this ingress, as they come.

    Where some are missing, or come faster than they are read, or the partition goes to another ingress, it goes on
    from the log: all that it has not passed on is there.
    """

    __slots__ = (
        "_again",
        "_asked",
        "_due_s",
        "_first",
        "_noted",
        "_position",
        "_reread",
        "_rest",
        "_sequence",
        "_silent_rounds",
        "_started",
        "_waits",
        "_withheld",
    )

    def __init__(
        self,
        request_id: RequestId,
        reply_to: ReplyAddress,
        position: int,
        reread: Reread,
        seal: bytes | None = None,
        due_s: float = math.inf,
    ) -> None:
        """
        Args:
            position: the offset from which on its replies come.
            seal: see `Replies`.
            due_s: when its end must have come to the log, by the loop's clock.
        """
        super().__init__(request_id, reply_to, seal)
        self._due_s = due_s
        self._first = position
        self._position = position
        self._reread = reread
        self._again: int | None = None
        """The offset from which on the rest is read again."""
        self._rest: Replies | None = None
        self._sequence = Sequence()
        self._started = False
        self._asked = self._noted = self._silent_rounds = 0
        self._waits = False
        self._withheld: Withheld | None = None

    def withhold(self, prompt: Withheld) -> None:
        """Keeps its prompt until the router wants it. Call it before the request is published."""
        self._withheld = prompt

    async def next(self) -> Reply | None:
        """See `Replies.next`."""
        self._asked += 1
        self._waits = True
        try:
            while not self._records:
                if self._again is not None:
                    return await self._next_of_rest(self._again)
                await self._wait()
            return await super().next()
        finally:
            self._waits = False

    def look(self, now_s: float) -> bool:
        """Ends it where it is overdue: not while its client reads what the log has. To be called in rounds.

        Returns:
            its client has read nothing for `STALLED_ROUNDS` of them; once.
        """
        moved, self._noted = self._asked != self._noted, self._asked
        if now_s >= self._due_s and ((self._waits and not moved) or now_s >= self._due_s + LATEST_S):
            self.fail(OVERDUE)
        self._silent_rounds = 0 if moved or self._waits else self._silent_rounds + 1
        return self._silent_rounds == STALLED_ROUNDS

    async def _next_of_rest(self, offset: int) -> Reply | None:
        if self._rest is None:
            self._rest = self._reread(self, offset, self._sequence.end)
        record = await self._rest.next()
        self.answered = self._rest.answered
        return record

    @property
    def position(self) -> int:
        """The offset of its first record, once that has come."""
        return self._first

    def push(self, came: ReplyRecord, offset: int) -> None:
        """Takes in a record of the log; what was published twice is dropped."""
        if self._ended or self._again is not None or came.reply_to.ingress_id != self.reply_to.ingress_id:
            return
        if isinstance(came, PromptWanted):
            self._publish_withheld()
            return
        record = None if self._sequence.is_old(came) else self._opened(came)
        if record is None:
            return
        if isinstance(record, ReplyChunk):
            if self._buffered > MOST_BUFFERED:
                self.read_again(offset)
                return
            try:
                piece = self._sequence.take(record)
            except MissingBytesError:
                self.read_again(self._first)
                return
            if piece is None:
                return
            record = piece
            self._buffered += len(record.content)
        elif isinstance(record, ReplyStarted):
            if self._started:
                return
            self._started, self._first = True, offset
        elif record.size > self._sequence.end:
            self.read_again(self._first)
            return
        else:
            if not self._started:
                self._first = offset
            self._ended = self.answered = True
        self._position = offset + 1
        self._put(record)

    def read_again(self, offset: int | None = None) -> None:
        """Goes on from the log, where its end has not come.

        Args:
            offset: None: after the last record that came.
        """
        if self._again is None and not self._ended:
            # Whoever wants its prompt would not be heard any more.
            self._publish_withheld()
            self._again = self._position if offset is None else offset
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)

    def _publish_withheld(self) -> None:
        if self._withheld:
            self._withheld.publish(self.fail)

    def fail(self, refusal: Refusal) -> None:
        """See `Replies.fail`."""
        if self._rest is None:
            super().fail(refusal)
        else:
            self._rest.fail(refusal)

    def close(self) -> None:
        """See `Replies.close`."""
        if self._withheld:
            self._withheld.drop()
        if self._rest is not None:
            self._rest.close()

    def note_silence(self) -> None:
        """See `Replies.note_silence`."""
        if self._rest is None:
            super().note_silence()
        else:
            self._rest.note_silence()


class WaitingRoom:
    """All clients of one ingress that wait."""

    def __init__(self, reread: Reread) -> None:
        """
        Args:
            reread: where a client's records do not come as they should.
        """
        self._reread = reread
        self._waiting: dict[RequestId, Waiting] = {}
        WAITING.observe("room", lambda: [(len(self), ())])
        REPLY_BUFFER.observe("room", lambda: [(sum(one.buffered for one in self._waiting.values()), ())])

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(
        self,
        request_id: RequestId,
        reply_to: ReplyAddress,
        position: int,
        *,
        due_s: float = math.inf,
        seal: bytes | None = None,
    ) -> Waiting:
        """Begins to wait. Call it before the request is published.

        Args:
            position: see `Waiting`.
            due_s: likewise.
            seal: see `Replies`.
        """
        waiting = self._waiting[request_id] = Waiting(request_id, reply_to, position, self._reread, seal, due_s)
        return waiting

    def leave(self, request_id: RequestId) -> None:
        """Ends waiting; later replies are dropped."""
        waiting = self._waiting.pop(request_id, None)
        if waiting:
            waiting.close()

    def read_all_again(self) -> None:
        """The partition goes to another ingress: all go on from the log."""
        for waiting in self._waiting.values():
            waiting.read_again()

    def note_silence(self) -> list[Waiting]:
        """See `Replies.note_silence`, and `Waiting.look`. Returns those that stall since now."""
        for waiting in self._waiting.values():
            waiting.note_silence()
        now_s = asyncio.get_running_loop().time()
        return [waiting for waiting in self._waiting.values() if waiting.look(now_s)]

    def wanted(self, raw: Raw) -> bool:
        """False for a record of a client who went away: not worth decoding."""
        return header(raw.headers, names.SUBJECT) in self._waiting or header(raw.headers, names.TYPE) not in KNOWN_TYPES

    def receive(self, received: Received[ReplyRecord]) -> None:
        """Hands a record of the replies partition to who waits for it."""
        waiting = self._waiting.get(received.record.request_id)
        if waiting:
            waiting.push(received.record, received.offset)

    def on_dead_letter(self, letter: DeadLetter) -> None:
        """Ends the wait for an answer that cannot be read."""
        waiting = self._waiting.get(letter.request_id or "")
        if waiting:
            waiting.fail(BROKEN)
