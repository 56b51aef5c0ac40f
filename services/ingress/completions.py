"""Requests of all surfaces: in, onto the log; off the log, out."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
import uuid_utils
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts import topics
from contracts.clock import now_ms
from contracts.credit import BalanceChanged
from contracts.prompts import PromptSubmitted
from contracts.record import Record, Refusal, ReplyAddress
from contracts.replies import Outcome, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import KeyUsed, RequestAccepted, RequestCancelled, Surface
from contracts.topic import Topic
from libs.bus.producer import settle
from libs.bus.service import Service
from libs.bus.views import View
from libs.bus.watch import BrokerWatch
from libs.chat.surfaces.registry import DIALECTS
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.pricing.book import PriceBook
from libs.runtime.background import Tasks
from libs.telemetry.tracing import Step, new_traceparent
from services.ingress.authentication import Authenticator
from services.ingress.claimant import Claimant
from services.ingress.core import admission, bodies
from services.ingress.core.answers import refused, reply_headers, stream_data, stream_start, whole
from services.ingress.core.errors import BadRequest, IngressError, TooLarge, Unavailable
from services.ingress.replies import RepliesReader
from services.ingress.waiting import Waiting, WaitingRoom

log = structlog.get_logger()

R = TypeVar("R", bound=Record)

GONE = Refusal(status=499, message="The client closed the connection.")
OVERDUE_AFTER_S = 5.0
KEY_USE_EVERY_MS = 60_000
MOST_KEYS = 50_000
OVERDUE = Refusal(status=504, message="No answer came before the deadline; try again.")


class _ClientGone(Exception):
    """The connection ended before the body did."""


@dataclass(frozen=True, slots=True)
class _Admitted:
    request: RequestAccepted
    prompt: PromptSubmitted
    step: Step


class Completions:
    """Serves all surfaces; `endpoint` is the ASGI application of one."""

    def __init__(
        self,
        config: GatewayConfig,
        catalog: Catalog,
        authenticator: Authenticator,
        balances: View[BalanceChanged],
        claimant: Claimant,
        replies: RepliesReader,
        room: WaitingRoom,
        service: Service,
        watch: BrokerWatch,
        ingress_id: str,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._prices = PriceBook(catalog)
        self._authenticator = authenticator
        self._balances = balances
        self._claimant = claimant
        self._replies = replies
        self._room = room
        self._service = service
        self._watch = watch
        self._ingress_id = ingress_id
        self._key_noted_at_ms: dict[str, int] = {}
        self._background = Tasks("publish from the ingress")

    def endpoint(self, surface: Surface) -> ASGIApp:
        """The application of one surface."""
        return _Endpoint(partial(self._serve, surface))

    async def _serve(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            admitted = await self._admit(surface, scope, receive)
        except IngressError as error:
            for message in refused(error.refusal, [], surface):
                await send(message)
            return
        except _ClientGone:
            return
        request, step = admitted.request, admitted.step
        headers = [(b"x-request-id", request.request_id.encode())]
        waiting = self._room.enter(request.request_id, request.reply_to)
        watcher = asyncio.create_task(_watch_connection(receive, waiting))
        overdue = asyncio.get_running_loop().call_later(
            self._config.timeouts.request_s + OVERDUE_AFTER_S, waiting.fail, OVERDUE
        )
        status = 500
        try:
            self._check_address(request.reply_to)
            await self._publish(admitted)
            status = await self._answer(request, waiting, headers, send)
        except IngressError as error:
            status = error.status
            for message in refused(error.refusal, headers, surface):
                await send(message)
        finally:
            overdue.cancel()
            watcher.cancel()
            self._room.leave(request.request_id)
            if not waiting.answered:
                self._cancel(request, step.traceparent, "the client is not waiting any more")
            step.note({"http.response.status_code": status})
            step.end(None if status < 400 else str(status))

    async def _admit(self, surface: Surface, scope: Scope, receive: Receive) -> _Admitted:
        config, started_ms = self._config, now_ms()
        headers = admission.header_map(scope["headers"])
        admission.check_content_type(headers)
        partition = self._claimant.held
        if partition is None or not self._replies.ready or not self._watch.up:
            raise Unavailable("The gateway's log is not available; try again in a moment.", retry_after_s=1)
        if len(self._room) >= config.limits.in_flight:
            raise Unavailable("The gateway is full; try again in a moment.", retry_after_s=1)
        token = admission.bearer_token(headers)
        organization = admission.organization_of(headers)
        caller = None if token is None else await self._authenticator.caller(token, organization)
        body = await _read_body(headers, receive, config.limits.body_bytes)
        asked = bodies.parse(surface, body)
        # One moment, by the ID: the ledger's ranges of time are ranges of IDs.
        request_id = uuid_utils.uuid7()
        accepted_ms = request_id.int >> 80
        peer = scope["client"][0] if scope.get("client") else ""
        ip = admission.client_ip(peer, headers, config.trusted_proxies)
        if asked.model in self._catalog.auto:
            has_balance = caller is not None and (not config.billing.prepaid or self._has_balance(caller.owner))
            asked = admission.resolve(asked, caller, headers, autos=self._catalog.auto, ip=ip, has_balance=has_balance)
        request = admission.accept(
            asked,
            caller,
            headers,
            request_id=str(request_id),
            ip=ip,
            prices=self._prices.find(asked.model, accepted_ms),
            offers=self._catalog.all_of(asked.model),
            prompt_bytes=len(body),
            reply_to=ReplyAddress(partition=partition, ingress_id=self._ingress_id),
            limits=config.limits,
            timeouts=config.timeouts,
            now_ms=accepted_ms,
        )
        if request.caller.key_fingerprint:
            self._note_key_used(request.caller.key_fingerprint, started_ms)
        traceparent = new_traceparent(config.telemetry.sample_ratio, headers.get("traceparent"))
        step = Step(
            f"POST /{surface.value.replace('.', '/')}",
            traceparent,
            kind=SpanKind.SERVER,
            started_ns=started_ms * 1_000_000,
            attributes={"sluice.request.id": request.request_id, "gen_ai.request.model": asked.model},
        )
        prompt = PromptSubmitted(request_id=request.request_id, content=body)
        return _Admitted(request, prompt, step)

    def _check_address(self, reply_to: ReplyAddress) -> None:
        """The partition may have been lost while the body came: nobody would read the answer."""
        if self._claimant.held != reply_to.partition or not self._replies.ready:
            raise Unavailable("The gateway's log is not available; try again in a moment.", retry_after_s=1)

    async def _publish(self, admitted: _Admitted) -> None:
        request, trace = admitted.request, admitted.step.traceparent
        producer = self._service.producer
        try:
            async with asyncio.timeout(self._config.timeouts.publish_s):
                prompt = await producer.publish(topics.PROMPTS, admitted.prompt, trace)
                accepted = await producer.publish(topics.REQUESTS, request, trace)
                await settle([prompt, accepted])
        except MessageSizeTooLargeError:
            raise BadRequest("What this request says beside its messages is too long for this gateway.") from None
        except (KafkaError, TimeoutError):
            raise Unavailable(
                "The gateway's log did not take the request; try again in a moment.", retry_after_s=1
            ) from None

    async def _answer(
        self, request: RequestAccepted, waiting: Waiting, headers: list[tuple[bytes, bytes]], send: Send
    ) -> int:
        sent: str | bytes | None = None
        while True:
            reply = await waiting.next()
            if isinstance(reply, ReplyStarted):
                await send(stream_start([*headers, *reply_headers(reply)], reply.content_type))
                sent = ""
            elif isinstance(reply, ReplyChunk):
                await send(stream_data(reply.sent))
                sent = reply.sent
            elif reply.refusal is GONE:
                return GONE.status
            else:
                await self._end(request, reply, sent, [*headers, *reply_headers(reply)], send)
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

    def _has_balance(self, owner: str) -> bool:
        balance = self._balances.get(owner)
        return balance is not None and balance.balance_microdollars > 0

    def _note_key_used(self, fingerprint: str, at_ms: int) -> None:
        if at_ms - self._key_noted_at_ms.get(fingerprint, 0) < KEY_USE_EVERY_MS:
            return
        if len(self._key_noted_at_ms) >= MOST_KEYS:
            self._key_noted_at_ms.clear()
        self._key_noted_at_ms[fingerprint] = at_ms
        self._publish_soon(topics.KEY_USES, KeyUsed(key_fingerprint=fingerprint, used_at_ms=at_ms), "")

    def _cancel(self, request: RequestAccepted, traceparent: str, reason: str) -> None:
        record = RequestCancelled(request_id=request.request_id, reason=reason, cancelled_at_ms=now_ms())
        self._publish_soon(topics.CANCELLATIONS, record, traceparent)

    def _publish_soon(self, topic: Topic[R], record: R, traceparent: str) -> None:
        async def publish() -> None:
            await settle([await self._service.producer.publish(topic, record, traceparent)])

        self._background.spawn(publish())


class _Endpoint:
    """Starlette takes functions for endpoints that want a Request; an object is an application."""

    def __init__(self, serve: ASGIApp) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await self._serve(scope, receive, send)


async def _read_body(headers: dict[str, str], receive: Receive, most: int) -> bytes:
    too_large = f"The body is larger than {most} bytes."
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most:
        raise TooLarge(too_large)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _ClientGone
        body += message.get("body", b"")
        if len(body) > most:
            raise TooLarge(too_large)
        if not message.get("more_body"):
            return bytes(body)


async def _watch_connection(receive: Receive, waiting: Waiting) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    waiting.fail(GONE)
