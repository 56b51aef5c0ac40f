"""``/streams/{id}``: an answer that broke off goes on, from any ingress; a whole one is there again; or it ends."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts.record import Lasting, Refusal
from contracts.replies import STREAM_WINDOW, ReplyEnded, ReplyStarted, reader_of
from contracts.requests import Surface
from services.ingress.core.admission import bearer_token
from services.ingress.core.answering import Answering
from services.ingress.core.answers import refused
from services.ingress.core.errors import BadRequest, IngressError, NotFound
from services.ingress.core.idempotency import client_key
from services.ingress.core.stream_ids import StreamId
from services.ingress.publishing import Publishing
from services.ingress.reading import GONE, Reading, Readings
from services.ingress.visitors import Visitor, Visitors
from services.ingress.waiting import Replies

LAST_EVENT = "last-event-id"
RETRY = b"retry: 1000\n"
"""How long an ``EventSource`` waits before it asks again: a field of the first event (HTML standard, 9.2.6)."""
READS_S = 900.0
"""Who wants more asks again, with the last ID."""
LEFT = Refusal(status=499, message="The client closed the connection.")
OVER = Refusal(status=503, message="This connection has been open for long; ask again with the last ID.")


class StreamPage:
    """The ASGI application of ``GET`` and ``DELETE /streams/{id}``."""

    def __init__(self, visitors: Visitors, readings: Readings, publishing: Publishing) -> None:
        self._visitors = visitors
        self._readings = readings
        self._publishing = publishing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        request = Request(scope, receive)
        try:
            visitor = await self._visitors.visitor(scope)
            reader = reader_of(visitor.caller.account_id if visitor.caller else None, visitor.address)
            found = StreamId.decode(request.path_params["id"])
            if found is None:
                raise NotFound(GONE.message)
            at = position_of(request.headers, request.query_params)
            seal = self._seal(found, visitor, request.method)
            with self._readings.open(found, at=at, reader=reader, seal=seal) as reading:
                if request.method == "DELETE":
                    await self._cancel(found, reading, send)
                else:
                    await self._give(found, at, reading, request, send)
        except IngressError as error:
            for message in refused(error.refusal, []):
                await send(message)

    @staticmethod
    def _seal(found: StreamId, visitor: Visitor, method: str) -> bytes | None:
        if not found.kept or method == "DELETE":
            return None
        key = client_key(visitor.headers, bearer_token(visitor.headers), visitor.owner)
        if key is None:
            raise BadRequest("This answer was kept for an Idempotency-Key; send that header, too.")
        return key.seal

    async def _cancel(self, found: StreamId, reading: Reading, send: Send) -> None:
        while (first := await reading.next()) is None:
            pass
        if isinstance(first, ReplyEnded) and not reading.answered:
            raise NotFound(GONE.message)
        if not isinstance(first, ReplyEnded):
            await self._publishing.publish_cancelled(found.request_id, "the client has ended the stream")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _give(self, found: StreamId, at: int, reading: Reading, request: Request, send: Send) -> None:
        headers = [(b"x-request-id", found.request_id.encode()), (b"x-sluice-stream", found.encode().encode())]
        answering = Answering(Surface.CHAT_COMPLETIONS, headers)
        eventsource = "text/event-stream" in request.headers.get("accept", "")
        begins: ReplyStarted | None = None
        noted = at
        with attended(reading, request.receive):
            while True:
                reply = await reading.next()
                if isinstance(reply, ReplyStarted):
                    begins = begins or reply
                    continue
                if isinstance(reply, ReplyEnded):
                    await self._end(reply, at, begins, reading, answering, send)
                    return
                if begins and not answering.began:
                    # Not before it is known that there is more: who has it all gets another status.
                    for message in answering.started(begins, []):
                        await send(message)
                    if eventsource:
                        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
                elif reply is None:
                    for message in answering.silence():
                        await send(message)
                if reply is not None:
                    await send(answering.chunk(reply))
                    if reply.end - noted >= STREAM_WINDOW // 2 and reply.reply_to.lasting is Lasting.CONNECTION:
                        noted = reply.end
                        self._publishing.note_read(found.request_id, noted, "")

    @staticmethod
    async def _end(
        reply: ReplyEnded, at: int, begins: ReplyStarted | None, reading: Reading, answering: Answering, send: Send
    ) -> None:
        if not reading.answered:
            if not answering.began and reply.refusal is not LEFT and reply.refusal:
                for message in refused(reply.refusal, []):
                    await send(message)
            # Else a connection that ends in the middle is what makes the client ask again.
            return
        if reply.tail is not None:
            rest = rest_of_tail(reply, at)
            if not rest and at and not answering.began:
                # An EventSource that is given 204 asks no more (HTML standard, 9.2.3).
                await send({"type": "http.response.start", "status": 204, "headers": answering.headers})
                await send({"type": "http.response.body", "body": b""})
                return
            reply = reply.model_copy(update={"tail": rest.decode(errors="replace")})
        if begins:
            for message in answering.started(begins, []):
                await send(message)
        for message in answering.ended(reply, []):
            await send(message)


def position_of(headers: Mapping[str, str], query: Mapping[str, str]) -> int:
    """After how many bytes a client wants a stream to go on: its last event's ID.

    Raises:
        BadRequest: it is none.
    """
    given = headers.get(LAST_EVENT) or query.get("last_event_id") or "0"
    if not (given.isascii() and given.isdigit() and len(given) <= 15):
        raise BadRequest("Last-Event-ID is the ID of an event of this stream: a whole number.")
    return int(given)


def rest_of_tail(reply: ReplyEnded, at: int) -> bytes:
    """The last events of a stream, without those of its first bytes that are not wanted."""
    return (reply.tail or "").encode()[max(0, at - reply.size) :]


@contextmanager
def attended(reading: Reading, receive: Receive) -> Iterator[None]:
    """Ends a reading when its client leaves, or after `READS_S`."""
    watcher = asyncio.create_task(watch_connection(receive, reading, LEFT))
    over = asyncio.get_running_loop().call_later(READS_S, reading.fail, OVER)
    try:
        yield
    finally:
        over.cancel()
        watcher.cancel()


async def watch_connection(receive: Receive, replies: Replies, left: Refusal) -> None:
    """Ends the replies when the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
    replies.fail(left)
