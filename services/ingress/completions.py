"""Requests of all surfaces: in, onto the log; off the log, out."""

import asyncio
import time
from functools import partial

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.prompts import PromptSubmitted
from contracts.record import Lasting, Refusal
from contracts.replies import STREAM_WINDOW, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import RequestAccepted, Surface
from libs.config.gateway import Timeouts
from libs.config.versions import CatalogVersions
from libs.sealing.kept import ClientKey
from services.ingress.again import Again, give_again
from services.ingress.background import BackgroundResponses
from services.ingress.body import ClientGone
from services.ingress.core.admission import bearer_token, check_lasts
from services.ingress.core.answering import Answering
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, Unavailable
from services.ingress.core.idempotency import client_key, fingerprint
from services.ingress.core.stream_ids import StreamId
from services.ingress.door import Door, Stay
from services.ingress.entrance import Admitted, Entrance
from services.ingress.gate import Gate
from services.ingress.measuring import measure_admitted, measure_again, measure_refused
from services.ingress.once import Once, Wanted
from services.ingress.publishing import Publishing
from services.ingress.replies import RepliesReader
from services.ingress.streams import position_of, watch_connection
from services.ingress.visitors import Visitor, Visitors
from services.ingress.waiting import Waiting, WaitingRoom

GONE = Refusal(status=499, message="The client closed the connection.")
OVERDUE_AFTER_S = 5.0


class Completions:
    """Serves all surfaces; `endpoint` is the ASGI application of one."""

    def __init__(
        self,
        door: Door,
        gate: Gate,
        visitors: Visitors,
        entrance: Entrance,
        publishing: Publishing,
        room: WaitingRoom,
        replies: RepliesReader,
        once: Once,
        versions: CatalogVersions,
        timeouts: Timeouts,
        background: BackgroundResponses,
    ) -> None:
        self._background = background
        self._door = door
        self._gate = gate
        self._visitors = visitors
        self._entrance = entrance
        self._publishing = publishing
        self._room = room
        self._replies = replies
        self._once = once
        self._versions = versions
        self._timeouts = timeouts

    def endpoint(self, surface: Surface) -> ASGIApp:
        """The application of one surface."""
        return _Endpoint(partial(self._serve, surface))

    async def _serve(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.perf_counter()
        try:
            if len(self._room) + self._once.reading >= self._versions.newest.limits.in_flight:
                raise Unavailable("The gateway is full; try again in a moment.", retry_after_s=1)
            visitor = await self._visitors.visitor(scope)
            self._gate.remember(scope["headers"], visitor.owner)
            with await self._door.enter(visitor.owner) as stay:
                key = client_key(visitor.headers, bearer_token(visitor.headers), visitor.owner)
                if key:
                    await self._serve_once(key, surface, visitor, stay, receive, send, began_s)
                else:
                    admitted = await self._entrance.admit(surface, visitor, receive)
                    await self._serve_admitted(admitted, stay, receive, send, began_s)
        except IngressError as error:
            measure_refused(surface, error.status, began_s)
            for message in refused(error.refusal, [], surface):
                await send(message)
        except ClientGone:
            return

    async def _serve_once(
        self,
        key: ClientKey,
        surface: Surface,
        visitor: Visitor,
        stay: Stay,
        receive: Receive,
        send: Send,
        began_s: float,
    ) -> None:
        check_lasts(visitor.headers)
        at = position_of(visitor.headers, {})
        self._publishing.address(Lasting.KEPT)
        body, content_type = await self._entrance.read(surface, visitor, receive)
        wanted = Wanted(visitor.owner or "", key, fingerprint(key, surface, content_type, body.data), at)

        async def accept() -> Admitted:
            address = self._publishing.address(Lasting.KEPT)
            return await self._entrance.accept(surface, visitor, body, content_type, address)

        async with self._once.settled(wanted, body, accept, receive) as found:
            if isinstance(found, Again):
                status = await give_again(found, surface, at, stay, send)
                measure_again(surface, status, began_s)
            else:
                await self._serve_admitted(found, stay, receive, send, began_s, seal=key.seal)

    async def _serve_admitted(
        self,
        admitted: Admitted,
        stay: Stay,
        receive: Receive,
        send: Send,
        began_s: float,
        *,
        seal: bytes | None = None,
    ) -> None:
        """
        Args:
            seal: with which the answer is to be sealed.
        """
        request, step, background = admitted.request, admitted.step, admitted.background
        headers = [(b"x-request-id", request.request_id.encode())]
        answering = Answering(request.surface, headers, looked_up=request.cache is not None)
        waiting = self._room.enter(
            request.request_id,
            request.reply_to,
            self._replies.position(request.reply_to),
            due_s=asyncio.get_running_loop().time() + self._timeouts.request_s + OVERDUE_AFTER_S,
            seal=seal,
        )
        watcher = asyncio.create_task(watch_connection(receive, waiting, GONE))
        # Who comes again with its key finds the request, should the log have it.
        status, cancels = 500, request.reply_to.lasting is not Lasting.KEPT
        begun, goes_on = None, False
        try:
            with admitted.body as body:
                if background:
                    begun = await self._background.begin(request, background, waiting.position)
                stay.published()
                prompt = PromptSubmitted(
                    request_id=request.request_id,
                    content=body.data,
                    content_type=admitted.content_type,
                    answer_key=seal,
                    response_id=background.response_id if background else None,
                )
                await self._publishing.publish(request, prompt, step.traceparent)
                # An answer takes long, and the log has the prompt.
                del prompt
            if background and not background.streamed:
                status, cancels, goes_on = 200, False, True
                self._background.go_on(request, waiting, self._room, within_s=self._timeouts.request_s)
                for message in whole(200, orjson.dumps(begun), headers):
                    await send(message)
            else:
                status = await self._answer(request, waiting, stay, answering, send, step.traceparent)
                cancels = status != GONE.status or request.reply_to.lasting is Lasting.CONNECTION
        except IngressError as error:
            status = error.status
            for message in refused(error.refusal, answering.headers, request.surface):
                await send(message)
        except asyncio.CancelledError:
            # This ingress stops; its client goes on at another.
            cancels = False
            raise
        finally:
            watcher.cancel()
            if not goes_on:
                self._room.leave(request.request_id)
            if cancels and not waiting.answered:
                self._publishing.cancel(request.request_id, step.traceparent)
            measure_admitted(request, status, began_s, step.traceparent)
            step.note({"http.response.status_code": status})
            step.end(None if status < 400 else str(status))

    async def _answer(
        self,
        request: RequestAccepted,
        waiting: Waiting,
        stay: Stay,
        answering: Answering,
        send: Send,
        trace: str,
    ) -> int:
        noted = 0
        while True:
            reply = await waiting.next()
            if isinstance(reply, ReplyChunk):
                await send(answering.chunk(reply))
                if reply.end - noted >= STREAM_WINDOW // 2:
                    noted = reply.end
                    if request.reply_to.lasting is Lasting.CONNECTION:
                        self._publishing.note_read(request.request_id, noted, trace)
                continue
            if reply is None:
                messages = answering.silence()
            elif isinstance(reply, ReplyStarted):
                stay.answered(reply.upstream_ms + reply.waited_ms)
                messages = answering.started(reply, [_stream_header(request, waiting)])
            elif reply.refusal is GONE:
                return GONE.status
            else:
                if waiting.answered:
                    stay.answered(reply.upstream_ms + reply.waited_ms)
                messages = answering.ended(reply, [] if reply.refusal else [_stream_header(request, waiting)])
            for message in messages:
                await send(message)
            if isinstance(reply, ReplyEnded):
                return reply.status


class _Endpoint:
    """Starlette takes functions for endpoints that want a Request; an object is an application."""

    def __init__(self, serve: ASGIApp) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await self._serve(scope, receive, send)


def _stream_header(request: RequestAccepted, waiting: Waiting) -> tuple[bytes, bytes]:
    kept = request.reply_to.lasting is Lasting.KEPT
    found = StreamId(request.reply_to.partition, waiting.position, request.request_id, kept)
    return (b"x-sluice-stream", found.encode().encode())
