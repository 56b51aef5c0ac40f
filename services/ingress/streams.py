"""``/streams/{id}``: an answer that broke off goes on, from any ingress; a whole one is there again; or it ends."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts.record import Lasting
from contracts.replies import STREAM_WINDOW, ReplyChunk, ReplyEnded, reader_of
from contracts.requests import Surface
from services.ingress.attending import attended
from services.ingress.core.admission import bearer_token
from services.ingress.core.answering import Answering
from services.ingress.core.answers import nothing, refused, stream_data
from services.ingress.core.errors import BadRequest, IngressError, NotFound
from services.ingress.core.idempotency import client_key
from services.ingress.core.stream_ids import StreamId
from services.ingress.giving import FromByte, given
from services.ingress.publishing import Publishing
from services.ingress.reading import GONE, Reading, Readings
from services.ingress.visitors import Visitor, Visitors

LAST_EVENT = "last-event-id"
RETRY = b"retry: 1000\n"
"""How long an ``EventSource`` waits before it asks again: a field of the first event (HTML standard, 9.2.6)."""


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
        for message in nothing([]):
            await send(message)

    async def _give(self, found: StreamId, at: int, reading: Reading, request: Request, send: Send) -> None:
        headers = [(b"x-request-id", found.request_id.encode()), (b"x-sluice-stream", found.encode().encode())]
        answering = Answering(Surface.CHAT_COMPLETIONS, headers)
        part, noted = FromByte(at), at
        eventsource = "text/event-stream" in request.headers.get("accept", "")
        with attended(reading, request.receive):
            async for reply, messages in given(reading, answering, part):
                begins = bool(messages) and messages[0]["type"] == "http.response.start"
                if isinstance(reply, ReplyEnded):
                    has_all = at and reading.answered and reply.tail is not None and not part.last(reply)
                    # An EventSource that is given 204 asks no more (HTML standard, 9.2.3).
                    messages = nothing(headers) if begins and has_all else messages
                elif begins and eventsource:
                    messages.insert(1, stream_data(RETRY))
                for message in messages:
                    await send(message)
                if isinstance(reply, ReplyChunk) and reply.end - noted >= STREAM_WINDOW // 2:
                    noted = reply.end
                    if reply.reply_to.lasting is Lasting.CONNECTION:
                        self._publishing.note_read(found.request_id, noted, "")


def position_of(headers: Mapping[str, str], query: Mapping[str, str]) -> int:
    """After how many bytes a client wants a stream to go on: its last event's ID.

    Raises:
        BadRequest: it is none.
    """
    given = headers.get(LAST_EVENT) or query.get("last_event_id") or "0"
    if not (given.isascii() and given.isdigit() and len(given) <= 15):
        raise BadRequest("Last-Event-ID is the ID of an event of this stream: a whole number.")
    return int(given)
