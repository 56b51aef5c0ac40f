"""Responses that are made in the background: asked for again, read along, and cancelled (ADR 17, ADR 24)."""

import asyncio

import orjson
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts import topics
from contracts.record import Lasting, RequestId
from contracts.replies import ReplyChunk, ReplyEnded, ReplyStarted, reader_of
from contracts.requests import RequestAccepted, Surface
from contracts.responses import ResponseBegun
from libs.bus.records import PoisonError, Raw, decode
from libs.runtime.background import Tasks
from libs.runtime.budget import Budget
from libs.sealing.hybrid import SealError
from libs.sealing.replies import open_reply
from libs.sealing.responses import answer_key_of, locator_of
from services.ingress.attending import attended
from services.ingress.core.answering import Answering
from services.ingress.core.answers import refused, whole
from services.ingress.core.background import After, Background, How, Progress, after_of, shown
from services.ingress.core.errors import BadRequest, IngressError, NotFound, RateLimited, Unauthorized, Unavailable
from services.ingress.core.sequence import MissingBytesError
from services.ingress.core.stream_ids import StreamId
from services.ingress.giving import given
from services.ingress.publishing import Publishing
from services.ingress.reading import Readings
from services.ingress.stored import StoredResponses, delete, show
from services.ingress.visitors import Visitors
from services.ingress.waiting import Waiting, WaitingRoom

LOOKS_S = 5.0
MOST_RUNNING = 100
"""Of an owner at one ingress, whose clients do not read along."""
LEFT_MS = topics.REPLIES.retention_ms
"""So long after its deadline an answer that was not stored, since it failed or was cancelled, is known."""
_NOT_BEGUN = "The response was not made in the background, or ended so long ago that the log does not hold its stream."


class BackgroundResponses:
    """Says of each which answer on the log it is."""

    def __init__(self, publishing: Publishing, readings: Readings, stored: StoredResponses) -> None:
        self._publishing = publishing
        self._readings = readings
        self._stored = stored
        self._running = Budget(share=MOST_RUNNING)
        self._tasks = Tasks("answers in the background")

    async def begin(self, request: RequestAccepted, wanted: Background, offset: int) -> dict[str, object] | None:
        """Publishes that a response has begun; returns it as its client is shown it, who does not read along. `go_on`
        or `never_begun` follows then.

        Raises:
            RateLimited: its owner has too many.
            Unavailable: the log does not take it.
        """
        at_once = wanted.how is How.AT_ONCE
        if at_once and not self._running.take(request.caller.owner):
            raise RateLimited(f"You have {MOST_RUNNING} responses in the background; wait for some to end.")
        begun = ResponseBegun(
            locator=locator_of(wanted.response_id),
            owner=request.caller.owner,
            request_id=request.request_id,
            partition=request.reply_to.partition,
            offset=offset,
            kept=request.reply_to.lasting is Lasting.KEPT,
            model=request.model,
            begun_at_ms=request.accepted_at_ms,
            expires_at_ms=request.deadline_ms + LEFT_MS,
        )
        try:
            await self._publishing.publish_begun(begun)
        except BaseException:
            if at_once:
                self.never_begun(request)
            raise
        return shown(begun, wanted.response_id, "queued") if at_once else None

    def never_begun(self, request: RequestAccepted) -> None:
        """Its request did not come to the log."""
        self._running.give(request.caller.owner)

    def go_on(self, request: RequestAccepted, waiting: Waiting, room: WaitingRoom, *, within_s: float) -> None:
        """Waits in its client's place until the answer has ended: it counts among those that are in work."""
        self._tasks.spawn(self._wait(request, waiting, room, within_s))

    async def _wait(self, request: RequestAccepted, waiting: Waiting, room: WaitingRoom, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not isinstance(await waiting.next(), ReplyEnded):
                    pass
        except TimeoutError:
            pass
        finally:
            room.leave(request.request_id)
            self._running.give(request.caller.owner)

    async def progress(self, begun: ResponseBegun, response_id: str, reader: str, *, to_end: bool = False) -> Progress:
        """What the log has of it now.

        Args:
            to_end: waits for its end, for a while.

        Raises:
            NotFound, RateLimited, Unavailable: it cannot be read, or not now.
        """
        seal = seal_of(begun, response_id)
        looking = _Looking(begun.request_id, begun.offset, Progress(begun, response_id), seal, to_end=to_end)
        try:
            with self._readings.look(stream_of(begun), reader, looking):
                async with asyncio.timeout(LOOKS_S):
                    await looking.done
        except TimeoutError:
            if not to_end:
                raise Unavailable("The log cannot be read now; try again in a moment.", retry_after_s=1) from None
        return looking.progress

    async def follow(
        self,
        begun: ResponseBegun,
        response_id: str,
        after: After,
        reader: str,
        headers: list[tuple[bytes, bytes]],
        request: Request,
        send: Send,
    ) -> None:
        """Gives its events, those that are there and those that come."""
        answering = Answering(Surface.RESPONSES, headers)
        stream = self._readings.open(
            stream_of(begun), at=0, reader=reader, known=True, seal=seal_of(begun, response_id)
        )
        with stream as reading, attended(reading, request.receive):
            async for _, messages in given(reading, answering, after):
                for message in messages:
                    await send(message)

    async def cancel(self, begun: ResponseBegun) -> None:
        """Ends it. Raises Unavailable."""
        await self._publishing.publish_cancelled(begun.request_id, "the client has cancelled the response")

    async def show(self, owner: str, response_id: str, reader: str) -> dict[str, object]:
        """The response as it is now. Raises NotFound, RateLimited, Unavailable: it cannot be read, or not now."""
        begun, is_stored = await self.find(owner, response_id)
        if begun is None or is_stored:
            return await show(self._stored, owner, response_id, {})
        return (await self.progress(begun, response_id, reader)).show()

    async def find(self, owner: str, response_id: str) -> tuple[ResponseBegun | None, bool]:
        """What is known of its beginning; and whether it is stored."""
        return await self._stored.begun(owner, response_id)


def stream_of(begun: ResponseBegun) -> StreamId:
    """Where its answer is on the log."""
    return StreamId(begun.partition, begun.offset, begun.request_id, begun.kept)


def seal_of(begun: ResponseBegun, response_id: str) -> bytes | None:
    """With which its answer is sealed, if it is."""
    return answer_key_of(response_id) if begun.kept else None


class _Looking:
    """Reads one answer as far as it is on the log."""

    def __init__(
        self, request_id: RequestId, offset: int, progress: Progress, seal: bytes | None, *, to_end: bool
    ) -> None:
        self._seal = seal
        self.key = request_id.encode()
        self.offset = offset
        self.progress = progress
        self._to_end = to_end
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, raw: Raw) -> bool:
        """See `LogReader.take`."""
        try:
            record = decode(raw).record
            if self._seal and isinstance(record, ReplyStarted | ReplyChunk | ReplyEnded):
                record = open_reply(record, self._seal)
            if isinstance(record, ReplyStarted):
                self.progress.begin(record)
            elif isinstance(record, ReplyChunk):
                self.progress.chunk(record)
            elif isinstance(record, ReplyEnded):
                self.progress.end(record)
        except (PoisonError, MissingBytesError, SealError):
            self._end(NotFound(_NOT_BEGUN))
        if self.progress.ended:
            self._end()
        return not self.done.done()

    def passed(self, offset: int, *, at_end: bool) -> None:
        """See `LogReader.passed`."""
        if at_end and not self._to_end:
            self._end()

    def gone(self) -> None:
        """See `LogReader.gone`."""
        self._end(NotFound(_NOT_BEGUN))

    def _end(self, error: Exception | None = None) -> None:
        if self.done.done():
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


class ResponsePage:
    """The ASGI application of ``GET`` and ``DELETE /responses/{id}``, and of ``POST /responses/{id}/cancel``."""

    def __init__(self, visitors: Visitors, stored: StoredResponses, background: BackgroundResponses) -> None:
        self._visitors = visitors
        self._stored = stored
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        request = Request(scope, receive)
        try:
            visitor = await self._visitors.visitor(scope)
            if visitor.owner is None or visitor.caller is None:
                raise Unauthorized("A stored response is an account's: send `Authorization: Bearer <api key>`.")
            response_id = request.path_params["id"]
            reader = reader_of(visitor.caller.account_id, visitor.address)
            begun, is_stored = await self._background.find(visitor.owner, response_id)
            if request.method == "GET" and request.query_params.get("stream") == "true":
                if begun is None:
                    raise BadRequest(_NOT_BEGUN)
                after = After(after_of(request.query_params))
                headers = [(b"x-request-id", begun.request_id.encode())]
                await self._background.follow(begun, response_id, after, reader, headers, request, send)
                return
            found = await self._answer(request, visitor.owner, response_id, begun if not is_stored else None, reader)
            messages = whole(200, orjson.dumps(found), [])
        except IngressError as error:
            messages = refused(error.refusal, [])
        for message in messages:
            await send(message)

    async def _answer(
        self, request: Request, owner: str, response_id: str, running: ResponseBegun | None, reader: str
    ) -> object:
        """
        Args:
            running: None: it has ended, or was never made in the background.
        """
        if request.method == "DELETE":
            if running:
                await self._background.cancel(running)
            return await delete(self._stored, owner, response_id, request.query_params)
        cancels = request.method == "POST"
        if running is None:
            found = await show(self._stored, owner, response_id, request.query_params)
            if cancels and not found.get("background"):
                raise BadRequest("Only a response that is made in the background can be cancelled.")
            return found
        if cancels:
            await self._background.cancel(running)
        progress = await self._background.progress(running, response_id, reader, to_end=cancels)
        return progress.show()
