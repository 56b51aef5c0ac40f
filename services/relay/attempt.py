"""One call of one provider for one request, from the grant to its ending."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import structlog
from opentelemetry.trace import SpanKind

from contracts.clock import now_ms
from contracts.prompts import PromptSubmitted
from contracts.record import JSON, Refusal
from contracts.replies import EVENTS, Outcome
from contracts.routes import Fallback, RoutePlanned
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.providers.errors import broke_off, failed_in_answer, timed_out, unreachable
from libs.chat.providers.exchange import exchange
from libs.chat.providers.identifiers import identifiers, with_hashed_users
from libs.chat.providers.openai_chat.usage import estimate
from libs.chat.providers.protocol import Call, ProtocolError, ProviderFailure
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.surfaces.writer import SurfaceError
from libs.config.catalog import Catalog
from libs.config.gateway import Provider, Timeouts
from libs.endpoints.exchange import exchange as endpoint_exchange
from libs.endpoints.form import Form
from libs.endpoints.registry import ENDPOINTS
from libs.sealing.hybrid import SealError
from libs.telemetry.tracing import Step
from services.relay.core.auto import as_client_asked, in_manner
from services.relay.core.ending import Ending, failed
from services.relay.core.keeping import Keeper, Kept, is_kept
from services.relay.core.tally import Tally
from services.relay.grants import Grants
from services.relay.reply_stream import ReplyStream
from services.relay.upstream import UpstreamError, Upstreams, read_answer, read_events, read_pieces

log = structlog.get_logger()

NO_GRANT = Refusal(
    status=503, message="The provider's key could not be opened; nothing was charged, try again.", retry_after_s=1
)
FOR_US = "provider"
"""A field of requests: the client's preferences among providers."""
STOPPED = Refusal(status=503, message="The gateway is being restarted; what came before is all there is.")


class Attempt:
    """Runs a route. `run` always returns an ending, unless its task is cancelled from outside."""

    def __init__(
        self,
        route: RoutePlanned,
        prompt: PromptSubmitted,
        stream: ReplyStream,
        *,
        grants: Grants,
        upstreams: Upstreams,
        tally: Tally,
        catalog: Catalog,
        timeouts: Timeouts,
        traceparent: str,
    ) -> None:
        self._route = route
        self._prompt = prompt
        self._stream = stream
        self._grants = grants
        self._upstreams = upstreams
        self._tally = tally
        self._catalog = catalog
        self._timeouts = timeouts
        self._traceparent = traceparent
        self._task: asyncio.Task[None] | None = None
        self._stop_as: Outcome | None = None
        first = Fallback(provider_id=route.provider_id, upstream_model=route.upstream_model, grant=route.grant)
        self._targets = [first, *route.fallbacks]
        self._at = first
        self._tried: list[str] = []
        self._call: Exchange | None = None
        """Once a provider is being called."""
        self._keeper: Keeper | None = None
        """Where the client wants the answer stored."""
        self._sent: str | bytes = ""
        """The last events of a stream, or the last piece of a recording."""
        self._called_at = 0.0
        self._waiting_since = 0.0
        """When the first provider was called."""
        self._first_byte_ms: int | None = None
        self._ending: Ending | None = None

    def stop(self, outcome: Outcome) -> None:
        """Closes the connection to the provider; the attempt then ends as CANCELLED or INTERRUPTED."""
        if self._stop_as is None:
            self._stop_as = outcome
            if self._task:
                self._task.cancel()

    @property
    def kept(self) -> Kept | None:
        """What is to be stored of an answer that ended well, if its client wants it stored."""
        return self._keeper.kept if self._keeper else None

    async def run(self) -> Ending:
        """Calls the providers, one after the other until one answers, and relays the answer."""
        ending = await self._run()
        ending.provider_id, ending.upstream_model = self._at.provider_id, self._at.upstream_model
        ending.tried, ending.attempts = self._tried, len(self._tried) + 1
        ending.dropped = self._stream.dropped
        ending.upstream_ms = self._stream.upstream_ms if self._stream.started else self._upstream_ms()
        return ending

    async def _run(self) -> Ending:
        self._task = asyncio.create_task(self._call_within_deadline())
        if self._stop_as is not None:
            self._task.cancel()
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return await self._stopped(self._stop_as or Outcome.INTERRUPTED)
        error = self._task.exception()
        if isinstance(error, UpstreamError):
            return await self._failed(error.refusal)
        if error is not None or self._ending is None:
            log.error("attempt failed", error=type(error).__name__)
            return await self._failed(Refusal(status=500, message="The gateway failed; it was logged. Try again."))
        return self._ending

    async def _call_within_deadline(self) -> None:
        remaining_s = (self._route.request.deadline_ms - now_ms()) / 1000
        try:
            async with asyncio.timeout(remaining_s):
                for target in self._targets:
                    self._turn_to(target)
                    try:
                        await self._call_in_step()
                        return
                    except UpstreamError as error:
                        if target is self._targets[-1] or not self._may_turn_away(error):
                            raise
                        self._tried.append(f"{target.provider_id}={error.refusal.status}")
                        log.info("falling back", request_id=self._route.request_id, tried=self._tried)
        except TimeoutError:
            refusal = timed_out(self._at.provider_id, "end its answer before the deadline")
            if self._first_byte_ms is None:
                self._count(refusal)
            raise UpstreamError(refusal) from None

    def _turn_to(self, target: Fallback) -> None:
        self._at, self._call, self._called_at, self._first_byte_ms = target, None, 0.0, None
        self._keeper = None
        self._stream.provider_id, self._stream.tried, self._stream.dropped = target.provider_id, self._tried, []

    def _may_turn_away(self, error: UpstreamError) -> bool:
        """The client has nothing yet, and what is wrong is not the request."""
        if self._stream.started:
            return False
        return error.refusal.status == 429 or error.refusal.status >= 500

    def _count(self, refusal: Refusal | None) -> None:
        """Counts for the routers how the provider did, if it was asked, and with our own key."""
        if self._called_at and not self._at.grant.byok:
            if refusal is None:
                self._tally.answered(self._at.provider_id)
            else:
                self._tally.refused(self._at.provider_id, refusal)

    async def _call_in_step(self) -> None:
        at = self._at
        step = Step(
            f"chat {at.upstream_model}",
            self._traceparent,
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": at.provider_id,
                "gen_ai.request.model": at.upstream_model,
            },
        )
        error: str | None = "stopped"
        try:
            await self._ask()
            error = None
        except UpstreamError as failure:
            error = str(failure.refusal.status)
            self._count(failure.refusal)
            raise
        finally:
            tokens = self._ending.tokens if self._ending else TokenUsage()
            step.note(
                {
                    "gen_ai.usage.input_tokens": tokens.input_tokens,
                    "gen_ai.usage.output_tokens": tokens.output_tokens,
                }
            )
            step.end(error)

    async def _ask(self) -> None:
        at, request = self._at, self._route.request
        try:
            key = await self._grants.open(at.grant, request.request_id)
        except SealError as error:
            log.error("grant refused", request_id=request.request_id, reason=str(error))
            raise UpstreamError(NO_GRANT) from None
        call = self._exchange()
        self._call = call
        self._stream.dropped = list(call.outgoing.dropped)
        self._called_at = time.monotonic()
        self._waiting_since = self._waiting_since or self._called_at
        streamed = request.stream and not call.unstreamed
        try:
            async with asyncio.timeout(self._timeouts.first_byte_s if streamed else None) as patience:
                async with self._upstreams.call(at.provider_id, key, call, byok=at.grant.byok) as response:
                    if streamed:
                        self._stream.content_type = call.content_type or EVENTS
                        pieces: AsyncIterator[str | bytes] = (
                            read_pieces(at.provider_id, response)
                            if call.recording
                            else read_events(at.provider_id, response, call.framing())
                        )
                        await self._relay_stream(pieces, call, patience)
                    else:
                        self._note_first_byte()
                        self._ending = self._whole(call, await read_answer(at.provider_id, response))
                        self._count(None)
        except TimeoutError:
            if not patience.expired():
                raise
            what = "begin its answer in time" if self._first_byte_ms is None else "go on with its answer in time"
            raise UpstreamError(timed_out(at.provider_id, what)) from None

    def _exchange(self) -> Exchange:
        """What is to be sent, in the provider's words."""
        at, request = self._at, self._route.request
        provider = self._catalog.at(request.model, at.provider_id)
        if provider is None:
            raise UpstreamError(unreachable(at.provider_id))
        if request.surface in ENDPOINTS:
            return self._endpoint_exchange(provider)
        asked = self._prompt.body
        body = {name: value for name, value in asked.items() if name != FOR_US} if FOR_US in asked else asked
        if is_kept(request, body):
            # For the provider it is a request like any other: what it would store belongs to a key of ours.
            body = {name: value for name, value in body.items() if name != "store"}
            self._keeper = Keeper(body)
        body = in_manner(body, request)
        call = Call(
            request.surface,
            with_hashed_users(body, request.surface, at.provider_id, request.caller),
            request.model,
            at.upstream_model,
            request.stream,
            # Who pays with a key of their own is not held to what we reserve.
            cap_tokens=None if at.grant.byok else request.cap_tokens,
            most_tokens=request.output_tokens_most,
            created_s=now_ms() // 1000,
            cache=request.task_id is not None,
            headers=request.upstream_headers,
            identifiers=identifiers(
                at.provider_id,
                request.caller,
                task_id=request.task_id,
                cache_key_field=provider.cache_key_field,
                user_field=provider.user_field,
            ),
        )
        try:
            found = as_client_asked(exchange(call, provider), asked)
            return self._keeper.keeping(found) if self._keeper else found
        except SurfaceError as error:
            raise UpstreamError(Refusal(status=400, message=str(error))) from None

    def _endpoint_exchange(self, provider: Provider) -> Exchange:
        at, request = self._at, self._route.request
        form = Form.read(self._prompt.content_type, self._prompt.content).without(lambda name: name == FOR_US)
        users = {name: form.get(name) for name in form.names}
        named = with_hashed_users(users, request.surface, at.provider_id, request.caller)
        try:
            return endpoint_exchange(
                request.surface,
                form.with_fields(**{name: value for name, value in named.items() if value != users[name]}),
                provider,
                model=request.model,
                upstream_model=at.upstream_model,
                streamed=request.stream,
                price=request.prices.get(at.provider_id),
            )
        except SurfaceError as error:
            raise UpstreamError(Refusal(status=400, message=str(error))) from None

    def _upstream_ms(self) -> int:
        return int((time.monotonic() - self._waiting_since) * 1000) if self._waiting_since else 0

    def _note_first_byte(self) -> None:
        self._first_byte_ms = int((time.monotonic() - self._called_at) * 1000)

    def _whole(self, call: Exchange, data: bytes) -> Ending:
        with _our_words(self._at.provider_id):
            answer = call.whole(data)
            tokens, estimated = self._tokens(answer.usage, answer.delivered_bytes)
            text = answer.body(tokens if estimated else None)
        return Ending(
            Outcome.COMPLETED,
            body=None if call.unstreamed else text,
            tail=text if call.unstreamed else None,
            content_type=call.content_type or JSON,
            tokens=tokens,
            quantities=list(call.quantities()),
            estimated=estimated,
            first_byte_ms=self._first_byte_ms,
        )

    async def _relay_stream(
        self, pieces: AsyncIterator[str | bytes], call: Exchange, patience: asyncio.Timeout
    ) -> None:
        loop, answer = asyncio.get_running_loop(), call.stream
        with _our_words(self._at.provider_id):
            async for data in pieces:
                begins = self._first_byte_ms is None
                if begins:
                    self._note_first_byte()
                    self._stream.upstream_ms = self._upstream_ms()
                text = answer.event(data) if isinstance(data, str) else data
                if begins:
                    self._count(None)
                self._stream.write(text)
                self._sent = text or self._sent
                if self._stream.full:
                    # The log's back-pressure must not count as the provider's silence.
                    patience.reschedule(None)
                    await self._stream.drain()
                patience.reschedule(loop.time() + self._timeouts.idle_s)
                if answer.done:
                    break
            if not answer.done and not answer.finished and not (call.recording and self._sent):
                raise ProtocolError("the stream has no end")
            tokens, estimated = self._tokens(answer.usage, answer.delivered_bytes)
            tail = answer.finish(tokens if estimated else None)
        patience.reschedule(None)
        await self._stream.close()
        self._count_pace(tokens)
        self._ending = Ending(
            Outcome.COMPLETED,
            tail=tail,
            chunks=self._stream.chunks,
            tokens=tokens,
            quantities=list(call.quantities()),
            estimated=estimated,
            first_byte_ms=self._first_byte_ms,
        )

    def _count_pace(self, tokens: TokenUsage) -> None:
        if not self._at.grant.byok and self._first_byte_ms is not None:
            self._tally.streamed(
                self._at.provider_id,
                self._at.upstream_model,
                first_byte_ms=self._first_byte_ms,
                output_tokens=tokens.output_tokens,
                seconds=time.monotonic() - self._called_at - self._first_byte_ms / 1000,
            )

    def _tokens(self, usage: TokenUsage | None, delivered_bytes: int) -> tuple[TokenUsage, bool]:
        if usage is not None:
            return usage, False
        if self._call and self._call.quantities():
            return TokenUsage(), False
        request = self._route.request
        # A form with files has more bytes than the model has tokens.
        read = min(request.prompt_bytes, 4 * request.input_tokens_most)
        return estimate(prompt_bytes=read, delivered_bytes=delivered_bytes), True

    async def _stopped(self, outcome: Outcome) -> Ending:
        ending = await self._failed(STOPPED)
        ending.outcome = outcome
        if outcome is Outcome.CANCELLED:
            ending.status, ending.refusal, ending.tail = 499, None, None
        if self._called_at and self._call:
            # The provider has worked on the prompt, whether or not a byte came back.
            ending.quantities = list(self._call.quantities())
            if self._call.stream.usage is None:
                ending.tokens, ending.estimated = self._tokens(None, self._call.stream.delivered_bytes)
        return ending

    async def _failed(self, refusal: Refusal) -> Ending:
        """An error before the first byte is the status; after it, the stream's last event."""
        ending = failed(refusal)
        ending.first_byte_ms = self._first_byte_ms
        if self._call is None:
            return ending
        answer = self._call.stream
        if self._stream.started:
            await self._stream.close()
            ending.chunks = self._stream.chunks
            if isinstance(self._sent, str):
                error_event = DIALECTS[self._route.request.surface].error_event
                ending.tail = error_event(refusal.message, refusal.status, self._sent)
            ending.quantities = list(self._call.quantities())
            ending.tokens, ending.estimated = self._tokens(answer.usage, answer.delivered_bytes)
        elif answer.usage is not None:
            ending.tokens = answer.usage
        return ending


@contextmanager
def _our_words(provider_id: str) -> Iterator[None]:
    """Turns what a protocol says of an answer into `UpstreamError`."""
    try:
        yield
    except ProtocolError:
        raise UpstreamError(broke_off(provider_id)) from None
    except ProviderFailure as error:
        raise UpstreamError(failed_in_answer(provider_id, str(error))) from None
