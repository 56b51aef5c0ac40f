"""Requests of all surfaces: in, onto the log; off the log, out."""

import asyncio
import time
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.prompts import PromptSubmitted
from contracts.record import Refusal
from contracts.replies import EVENTS, STREAM_WINDOW, Outcome, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import RequestAccepted, Surface
from libs.chat.surfaces.registry import DIALECTS
from libs.config.gateway import Timeouts
from libs.config.versions import CatalogVersions
from services.ingress.body import ClientGone
from services.ingress.core.answers import refused, reply_headers, stream_data, stream_start, whole
from services.ingress.core.errors import IngressError, Unavailable
from services.ingress.door import Door, Stay
from services.ingress.entrance import Admitted, Entrance
from services.ingress.gate import Gate
from services.ingress.measuring import measure_admitted, measure_refused
from services.ingress.publishing import Publishing
from services.ingress.visitors import Visitors
from services.ingress.waiting import Waiting, WaitingRoom

GONE = Refusal(status=499, message="The client closed the connection.")
OVERDUE_AFTER_S = 5.0
OVERDUE = Refusal(status=504, message="No answer came before the deadline; try again.")


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
        versions: CatalogVersions,
        timeouts: Timeouts,
    ) -> None:
        self._door = door
        self._gate = gate
        self._visitors = visitors
        self._entrance = entrance
        self._publishing = publishing
        self._room = room
        self._versions = versions
        self._timeouts = timeouts

    def endpoint(self, surface: Surface) -> ASGIApp:
        """The application of one surface."""
        return _Endpoint(partial(self._serve, surface))

    async def _serve(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.perf_counter()
        try:
            if len(self._room) >= self._versions.newest.limits.in_flight:
                raise Unavailable("The gateway is full; try again in a moment.", retry_after_s=1)
            visitor = await self._visitors.visitor(scope)
            self._gate.remember(scope["headers"], visitor.owner)
            with await self._door.enter(visitor.owner) as stay:
                admitted = await self._entrance.admit(surface, visitor, receive)
                await self._serve_admitted(admitted, stay, receive, send, began_s)
        except IngressError as error:
            measure_refused(surface, error.status, began_s)
            for message in refused(error.refusal, [], surface):
                await send(message)
        except ClientGone:
            return

    async def _serve_admitted(
        self, admitted: Admitted, stay: Stay, receive: Receive, send: Send, began_s: float
    ) -> None:
        request, step = admitted.request, admitted.step
        headers = [(b"x-request-id", request.request_id.encode())]
        waiting = self._room.enter(request.request_id, request.reply_to)
        watcher = asyncio.create_task(_watch_connection(receive, waiting))
        overdue = asyncio.get_running_loop().call_later(
            self._timeouts.request_s + OVERDUE_AFTER_S, waiting.fail, OVERDUE
        )
        status = 500
        try:
            with admitted.body as body:
                stay.published()
                prompt = PromptSubmitted(
                    request_id=request.request_id, content=body.data, content_type=admitted.content_type
                )
                await self._publishing.publish(request, prompt, step.traceparent)
                # An answer takes long, and the log has the prompt.
                del prompt
            status = await self._answer(request, waiting, stay, headers, send, step.traceparent)
        except IngressError as error:
            status = error.status
            for message in refused(error.refusal, headers, request.surface):
                await send(message)
        finally:
            overdue.cancel()
            watcher.cancel()
            self._room.leave(request.request_id)
            if not waiting.answered:
                self._publishing.cancel(request, step.traceparent)
            measure_admitted(request, status, began_s, step.traceparent)
            step.note({"http.response.status_code": status})
            step.end(None if status < 400 else str(status))

    async def _answer(
        self,
        request: RequestAccepted,
        waiting: Waiting,
        stay: Stay,
        headers: list[tuple[bytes, bytes]],
        send: Send,
        trace: str,
    ) -> int:
        sent: str | bytes | None = None
        read = noted = 0
        looked_up = request.cache is not None
        while True:
            reply = await waiting.next()
            if isinstance(reply, ReplyStarted):
                stay.answered(reply.upstream_ms + reply.waited_ms)
                await send(stream_start([*headers, *reply_headers(reply, looked_up=looked_up)], reply.content_type))
                sent = "" if reply.content_type == EVENTS else b""
            elif isinstance(reply, ReplyChunk):
                await send(stream_data(reply.sent))
                sent = reply.sent
                read += len(sent)
                if read - noted >= STREAM_WINDOW // 2:
                    noted = read
                    self._publishing.note_read(request.request_id, read, trace)
            elif reply.refusal is GONE:
                return GONE.status
            else:
                if waiting.answered:
                    stay.answered(reply.upstream_ms + reply.waited_ms)
                await self._end(request, reply, sent, [*headers, *reply_headers(reply, looked_up=looked_up)], send)
                return reply.status

    async def _end(
        self, request: RequestAccepted, reply: ReplyEnded, sent: str | bytes | None, headers: list[Any], send: Send
    ) -> None:
        """``sent``: the last events of a stream that has begun."""
        refusal = reply.refusal
        if isinstance(sent, bytes) and refusal:
            # Nothing can be said within a recording: a connection that ends before the answer does is the error.
            return
        if sent is not None:
            error_event = DIALECTS[request.surface].error_event
            tail = reply.tail or (error_event(refusal.message, refusal.status, str(sent)) if refusal else "")
            await send(stream_data(tail, last=True))
        elif refusal is not None:
            for message in refused(refusal, headers, request.surface):
                await send(message)
        elif request.stream and reply.outcome is Outcome.COMPLETED:
            await send(stream_start(headers))
            await send(stream_data(reply.tail or "", last=True))
        else:
            for message in whole(reply.status, (reply.body or "").encode(), headers, reply.content_type):
                await send(message)


class _Endpoint:
    """Starlette takes functions for endpoints that want a Request; an object is an application."""

    def __init__(self, serve: ASGIApp) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await self._serve(scope, receive, send)


async def _watch_connection(receive: Receive, waiting: Waiting) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    waiting.fail(GONE)
