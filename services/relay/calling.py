"""Calls one provider: from the grant to the end of its answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial

import structlog
from opentelemetry.trace import SpanKind

from contracts.clock import now_ms
from contracts.record import Refusal
from contracts.replies import EVENTS
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.providers.errors import broke_off, failed_in_answer, timed_out, unreachable
from libs.chat.providers.protocol import ProtocolError, ProviderFailure
from libs.config.providers import Provider
from libs.policy.answers import AnswerRefused
from libs.runtime.silence import Silence
from libs.sealing.hybrid import SealError
from libs.telemetry.tracing import Step
from services.relay import endings
from services.relay.called import Called
from services.relay.calls import prepare
from services.relay.core.ending import Ending
from services.relay.means import Means
from services.relay.measuring import measure_call, operation_of
from services.relay.parts import answering
from services.relay.reply_stream import HeldTooLong
from services.relay.upstream import UpstreamError

log = structlog.get_logger()

STALLED_S = 60.0
"""Within half of that the ingress lets a stream go on whose client reads nothing: if it does not, it is gone."""
NO_ROOM = (429, 503)
NO_GRANT = Refusal(
    status=503, message="The provider's key could not be opened; nothing was charged, try again.", retry_after_s=1
)


class Calling:
    """One call, which is noted in `called` as it goes."""

    def __init__(self, called: Called, means: Means) -> None:
        self.called = called
        self._means = means
        self._job, self._target, self._client = called.job, called.target, called.client

    def count(self, refusal: Refusal | None) -> None:
        """Counts for the routers how the provider did, if it was asked, and with our own key."""
        at, tally = self._target, self._means.tally
        if not self.called.at_s or at.grant.byok:
            return
        if refusal is None or self.has_no_room(refusal):
            tally.answered(at.provider_id)
        else:
            tally.refused(at.provider_id, refusal, key=at.grant.key, now_ms=now_ms())

    def has_no_room(self, refusal: Refusal) -> bool:
        """The provider runs it for less when it has room, and has none now: that says nothing of its other tiers."""
        return self.called.tier is not None and refusal.metadata.get("provider_status") in NO_ROOM

    async def run(self) -> Ending:
        """Calls the provider, and relays its answer.

        Raises:
            UpstreamError: there is none, or it broke off.
        """
        at, route = self._target, self._job.route
        step = Step(
            f"chat {at.upstream_model}",
            self._job.traceparent,
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": operation_of(route.surface),
                "gen_ai.provider.name": at.provider_id,
                "gen_ai.request.model": at.upstream_model,
            },
        )
        error: str | None = "stopped"
        tokens = TokenUsage()
        try:
            ending = await self._ask()
            tokens, error = ending.tokens, None
            return ending
        except UpstreamError as failure:
            error = str(failure.refusal.status)
            self.count(failure.refusal)
            raise
        finally:
            step.note(
                {
                    "gen_ai.usage.input_tokens": tokens.input_tokens,
                    "gen_ai.usage.output_tokens": tokens.output_tokens,
                }
            )
            step.end(error)
            if self.called.at_s:
                measure_call(
                    route.surface,
                    at.provider_id,
                    route.model,
                    tokens,
                    seconds=self.called.worked_s,
                    first_byte_ms=self.called.first_byte_ms if self._client.stream.started else None,
                    error=error,
                    trace=step.traceparent,
                )

    async def _ask(self) -> Ending:
        at, route, client, timeouts = self._target, self._job.route, self._client, self._means.timeouts
        try:
            key = await self._means.grants.open(at.grant, route.request_id)
        except SealError as error:
            log.error("grant refused", **self.called.about, reason=str(error))
            raise UpstreamError(NO_GRANT) from None
        call, provider = self._prepared()
        client.stream.dropped = list(call.outgoing.dropped)
        self.called.begin()
        streamed = route.stream and not call.unstreamed
        try:
            async with Silence(timeouts.first_byte_s if streamed else None) as silence:
                ask = partial(self._means.upstreams.call, at.provider_id, provider, key, byok=at.grant.byok)
                async with answering(at.provider_id, call, ask) as answer:
                    self.called.parts = answer.parts
                    if streamed:
                        client.stream.content_type = call.content_type or EVENTS
                        return await self._relay(answer.pieces(), call, silence)
                    with _our_words(at.provider_id):
                        data = await answer.whole(self.called.note_first_byte)
                        ending = endings.whole(self.called, call, data)
                    self.count(None)
                    return ending
        except TimeoutError:
            if not silence.too_long:
                raise
            begun = self.called.first_byte_ms is not None
            what = "go on with its answer in time" if begun else "begin its answer in time"
            raise UpstreamError(timed_out(at.provider_id, what)) from None

    def _prepared(self) -> tuple[Exchange, Provider]:
        job, called = self._job, self.called
        offer = job.offer_of(self._target)
        if offer is None:
            raise UpstreamError(unreachable(self._target.provider_id))
        call, called.keeper = prepare(job, self._target, offer)
        called.exchange = call
        return call, offer.provider

    async def _relay(self, pieces: AsyncIterator[str | bytes], call: Exchange, silence: Silence) -> Ending:
        called, answer = self.called, call.stream
        try:
            with _our_words(self._target.provider_id):
                await self._read(pieces, call, silence)
                if not answer.done and not answer.finished and not (call.recording and self._client.sent):
                    raise ProtocolError("the stream has no end")
                counted = called.counted
                last = answer.finish(counted[0] if counted[1] else None)
            silence.allow(None)
            return await endings.streamed(called, call, counted, last)
        except AnswerRefused as refused:
            silence.allow(None)
            self.count(None)
            return await endings.against_a_rule(called, call, refused)

    async def _read(self, pieces: AsyncIterator[str | bytes], call: Exchange, silence: Silence) -> None:
        answer, called, stream = call.stream, self.called, self._client.stream
        async for data in pieces:
            begins = called.first_byte_ms is None
            if begins:
                called.note_first_byte()
                stream.note_first_byte(self._client.waited_ms)
            text = answer.event(data) if isinstance(data, str) else data
            if begins:
                self.count(None)
            if refusal := called.counting.too_long(self._target, answer):
                raise UpstreamError(refusal)
            self._pass_on(text, len(data))
            if stream.full:
                # The log's back-pressure must not count as the provider's silence.
                silence.allow(None)
                await self._drain()
            silence.allow(self._means.timeouts.idle_s)
            if answer.done:
                break

    def _pass_on(self, text: str | bytes, came_bytes: int) -> None:
        client = self._client
        if client.reading_on:
            client.reading_on.take(came_bytes)
            return
        client.stream.write(text)
        if client.lookup:
            client.lookup.add(text)
        client.sent = text or client.sent

    async def _drain(self) -> None:
        """Returns when there is room for more. A client that reads nothing for long is taken for gone."""
        stream = self._client.stream
        while stream.full:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALLED_S):
                    await stream.drain()
            if stream.full and stream.unread:
                log.warning("the client does not read", **self.called.about)
                if leave := self._client.on_left():
                    leave()
                await asyncio.sleep(0)


@contextmanager
def _our_words(provider_id: str) -> Iterator[None]:
    """Turns what a protocol says of an answer into `UpstreamError`."""
    try:
        yield
    except ProtocolError:
        raise UpstreamError(broke_off(provider_id)) from None
    except HeldTooLong:
        message = "The answer is longer than what can be held back until your organization's guardrail has seen it."
        raise UpstreamError(Refusal(status=502, message=message)) from None
    except ProviderFailure as error:
        raise UpstreamError(failed_in_answer(provider_id, str(error))) from None
