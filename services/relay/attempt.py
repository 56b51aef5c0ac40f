"""One call of one provider for one request, from the grant to its ending."""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import structlog
from opentelemetry.trace import SpanKind

from contracts.clock import now_ms
from contracts.guardrails import AnswerRules
from contracts.prices import Price
from contracts.prompts import PromptSubmitted
from contracts.record import JSON, Refusal
from contracts.replies import EVENTS, Outcome
from contracts.routes import RoutePlanned, Target
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.providers.errors import broke_off, failed_in_answer, timed_out, unreachable
from libs.chat.providers.protocol import ProtocolError, ProviderFailure
from libs.chat.surfaces import costs
from libs.chat.surfaces.registry import DIALECTS
from libs.config.catalog import Catalog
from libs.config.gateway import Timeouts
from libs.config.providers import Provider
from libs.endpoints.registry import ENDPOINTS
from libs.policy.answers import AnswerRefused
from libs.sealing.hybrid import SealError
from libs.telemetry.tracing import Step
from services.relay.answer_cache import AnswerCache, Hit
from services.relay.calls import prepare
from services.relay.core.costing import costs as priced
from services.relay.core.ending import Ending, failed
from services.relay.core.estimating import Paces
from services.relay.core.keeping import Keeper, Kept
from services.relay.core.tally import Tally
from services.relay.core.turns import Turns
from services.relay.counting import Counting
from services.relay.grants import Grants
from services.relay.left import MOST_READ_ON, Left
from services.relay.measuring import measure_call, operation_of
from services.relay.replay import replay
from services.relay.reply_stream import ReplyStream
from services.relay.upstream import UpstreamError, Upstreams, read_answer, read_events, read_pieces

log = structlog.get_logger()

STALLED_S = 60.0
"""Within half of that the ingress lets a stream go on whose client reads nothing: if it does not, it is gone."""

NO_GRANT = Refusal(
    status=503, message="The provider's key could not be opened; nothing was charged, try again.", retry_after_s=1
)
CANCELLED = Refusal(status=499, message="The answer was cancelled; what came before is all there is.")
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
        paces: Paces,
        left: Left,
        catalog: Catalog,
        timeouts: Timeouts,
        cache: AnswerCache,
        rules: AnswerRules | None,
        traceparent: str,
    ) -> None:
        # What another key's answer was kept by were not these rules.
        self._lookup = cache.lookup(route, prompt) if route.cache and rules is None else None
        self._rules = rules
        self._cost_percent = cache.settings.cost_percent
        self._route = route
        self._prompt = prompt
        self._stream = stream
        self._grants = grants
        self._upstreams = upstreams
        self._tally = tally
        self._counting = Counting(route, paces, tally)
        self._left = left
        self._catalog = catalog
        self._timeouts = timeouts
        self._traceparent = traceparent
        self._about = {"request_id": route.request_id, "traceparent": traceparent}
        """Of log lines."""
        self._task: asyncio.Task[None] | None = None
        self._stop_as: Outcome | None = None
        self._read_on_bytes: int | None = None
        """How much has been read since the client left, if the answer is read on."""
        self._at = route.targets[0]
        self._tried: list[str] = []
        self._call: Exchange | None = None
        """Once a provider is being called."""
        self._keeper: Keeper | None = None
        """Where the client wants the answer stored."""
        self._sent: str | bytes = ""
        """The last events of a stream, or the last piece of a recording."""
        self._called_at = 0.0
        self._called_at_ms: int | None = None
        self._waiting_since = 0.0
        """When the first provider was called."""
        self._first_byte_ms: int | None = None
        self._ending: Ending | None = None

    def read(self, size: int) -> None:
        """The client has been sent so much of the stream, in all."""
        self._stream.read(size)

    def stop(self, outcome: Outcome) -> None:
        """Ends the attempt as CANCELLED or INTERRUPTED, and closes the connection to the provider.

        Where the client has left, the answer is read on for a little: its counts may be about to come.
        """
        if self._stop_as is None or outcome is Outcome.INTERRUPTED:
            # Nobody has to read any more before the rest may be written, or read on.
            self._stream.read(sys.maxsize)
            reads_on = self._stop_as is None and outcome is Outcome.CANCELLED and self._called_at and self._left.enter()
            self._stop_as = self._stop_as or outcome
            if self._task is None:
                return
            if reads_on:
                self._read_on_bytes = 0
                asyncio.get_running_loop().call_later(self._timeouts.leave_s, self._task.cancel)
            else:
                self._task.cancel()

    @property
    def answer_key(self) -> bytes | None:
        """With which the answer is sealed."""
        return self._prompt.answer_key

    @property
    def kept(self) -> Kept | None:
        """What is to be stored of an answer that ended well, if its client wants it stored."""
        return self._keeper.kept if self._keeper else None

    async def run(self) -> Ending:
        """Calls the providers, one after the other until one answers, and relays the answer."""
        if self._lookup is None:
            return await self._answer()
        ending = None
        try:
            if hit := await self._lookup.find():
                return await self._replay(hit)
            ending = await self._answer()
            return ending
        finally:
            self._lookup.end(ending)

    async def _replay(self, hit: Hit) -> Ending:
        ending = await replay(hit, self._stream, cost_percent=self._cost_percent, stopped=lambda: self._stop_as)
        if costs.are_wanted(self._prompt.body):
            shown = priced(
                ending.tokens,
                ending.quantities,
                self._price_at(hit.target),
                byok=hit.target.grant.byok,
                free=self._route.free,
                percent=self._cost_percent,
            )
            ending.body = ending.body and costs.with_costs(ending.body, shown)
            ending.tail = ending.tail and costs.with_costs(ending.tail, shown)
        return ending

    async def _answer(self) -> Ending:
        try:
            ending = await self._run()
        finally:
            if self._read_on_bytes is not None:
                self._left.leave()
        ending.target = self._at
        ending.tried, ending.attempts = self._tried, len(self._tried) + 1
        ending.dropped = self._stream.dropped
        ending.called_at_ms = self._called_at_ms
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
        if self._stop_as is not None:
            return await self._stopped(self._stop_as, self._ending)
        if isinstance(error, UpstreamError):
            return await self._failed(error.refusal)
        if error is not None or self._ending is None:
            log.error("attempt failed", error=type(error).__name__)
            return await self._failed(Refusal(status=500, message="The gateway failed; it was logged. Try again."))
        return self._ending

    async def _call_within_deadline(self) -> None:
        try:
            async with asyncio.timeout(self._left_s()):
                await self._call_in_turns()
        except TimeoutError:
            refusal = timed_out(self._at.provider_id, "end its answer before the deadline")
            if self._first_byte_ms is None:
                self._count(refusal)
            raise UpstreamError(refusal) from None

    async def _call_in_turns(self) -> None:
        turns = Turns(self._route)
        while True:
            target = turns.next()
            self._turn_to(target)
            try:
                await self._call_in_step()
                return
            except UpstreamError as error:
                if self._stop_as or self._stream.started:
                    raise
                drawn = random.random()  # noqa: S311
                wait_s = turns.failed(target, error.refusal, drawn=drawn, left_s=self._left_s())
                if wait_s is None:
                    raise
                self._tried.append(f"{target.provider_id}={error.refusal.status}")
                log.info("falling back", **self._about, tried=self._tried)
            # Not before the connection to who failed is closed.
            if wait_s:
                await asyncio.sleep(wait_s)

    def _left_s(self) -> float:
        return (self._route.deadline_ms - now_ms()) / 1000

    def _turn_to(self, target: Target) -> None:
        self._at, self._call, self._called_at, self._first_byte_ms = target, None, 0.0, None
        self._called_at_ms = None
        self._keeper = None
        self._stream.provider_id, self._stream.tried, self._stream.dropped = target.provider_id, self._tried, []
        self._stream.model = target.model

    def _count(self, refusal: Refusal | None) -> None:
        """Counts for the routers how the provider did, if it was asked, and with our own key."""
        if self._called_at and not self._at.grant.byok:
            if refusal is None:
                self._tally.answered(self._at.provider_id)
            else:
                self._tally.refused(self._at.provider_id, refusal, key=self._at.grant.key, now_ms=now_ms())

    async def _call_in_step(self) -> None:
        at = self._at
        step = Step(
            f"chat {at.upstream_model}",
            self._traceparent,
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": operation_of(self._route.surface),
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
            if self._called_at:
                measure_call(
                    self._route.surface,
                    at.provider_id,
                    self._route.model,
                    tokens,
                    seconds=time.monotonic() - self._called_at,
                    first_byte_ms=self._first_byte_ms if self._stream.started else None,
                    error=error,
                    trace=step.traceparent,
                )

    async def _ask(self) -> None:
        at, request = self._at, self._route
        try:
            key = await self._grants.open(at.grant, request.request_id)
        except SealError as error:
            log.error("grant refused", **self._about, reason=str(error))
            raise UpstreamError(NO_GRANT) from None
        call, provider = self._exchange()
        self._call = call
        self._stream.dropped = list(call.outgoing.dropped)
        self._called_at, self._called_at_ms = time.monotonic(), now_ms()
        self._waiting_since = self._waiting_since or self._called_at
        streamed = request.stream and not call.unstreamed
        try:
            async with asyncio.timeout(self._timeouts.first_byte_s if streamed else None) as patience:
                async with self._upstreams.call(at.provider_id, provider, key, call, byok=at.grant.byok) as response:
                    if streamed:
                        self._stream.content_type = call.content_type or EVENTS
                        pieces: AsyncIterator[str | bytes] = (
                            read_pieces(at.provider_id, response)
                            if call.recording
                            else read_events(at.provider_id, response, call.framing())
                        )
                        try:
                            await self._relay_stream(pieces, call, patience)
                        except AnswerRefused as refused:
                            patience.reschedule(None)
                            await self._refuse(call, refused)
                    else:
                        self._note_first_byte()
                        self._ending = self._whole(call, await read_answer(at.provider_id, response))
                        self._count(None)
        except TimeoutError:
            if not patience.expired():
                raise
            what = "begin its answer in time" if self._first_byte_ms is None else "go on with its answer in time"
            raise UpstreamError(timed_out(at.provider_id, what)) from None

    def _exchange(self) -> tuple[Exchange, Provider]:
        request, at = self._route, self._at
        offer = self._catalog.offer(at.model or request.model, at.provider_id)
        if offer is None:
            raise UpstreamError(unreachable(at.provider_id))
        found, self._keeper = prepare(request, self._prompt, at, offer, self._rules)
        return found, offer.provider

    def _price_at(self, target: Target) -> Price | None:
        request = self._route
        return self._catalog.price(target.model or request.model, target.provider_id, request.accepted_at_ms)

    def _upstream_ms(self) -> int:
        return int((time.monotonic() - self._waiting_since) * 1000) if self._waiting_since else 0

    def _note_first_byte(self) -> None:
        self._first_byte_ms = int((time.monotonic() - self._called_at) * 1000)

    def _whole(self, call: Exchange, data: bytes) -> Ending:
        with _our_words(self._at.provider_id):
            answer = call.whole(data)
            tokens, estimated_from = self._counting.tokens(call, answer.usage, answer.delivered_bytes)
            try:
                text = answer.body(tokens if estimated_from else None)
            except AnswerRefused as refused:
                ending = failed(_refusal_of(refused))
                ending.tokens, ending.quantities = tokens, list(call.quantities())
                ending.estimated_from, ending.first_byte_ms = estimated_from, self._first_byte_ms
                return ending
            text = self._with_costs(text, call, tokens)
        if not estimated_from:
            self._counting.note_whole(self._at, tokens, time.monotonic() - self._called_at)
        return Ending(
            Outcome.COMPLETED,
            body=None if call.unstreamed else text,
            tail=self._stream.tail(text) if call.unstreamed else None,
            content_type=call.content_type or JSON,
            tokens=tokens,
            quantities=list(call.quantities()),
            estimated_from=estimated_from,
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
                if refusal := self._counting.too_long(self._at, answer):
                    raise UpstreamError(refusal)
                if self._read_on_bytes is None:
                    self._stream.write(text)
                    if self._lookup:
                        self._lookup.add(text)
                    self._sent = text or self._sent
                else:
                    self._read_on(len(data))
                if self._stream.full:
                    # The log's back-pressure must not count as the provider's silence.
                    patience.reschedule(None)
                    await self._drain()
                patience.reschedule(loop.time() + self._timeouts.idle_s)
                if answer.done:
                    break
            if not answer.done and not answer.finished and not (call.recording and self._sent):
                raise ProtocolError("the stream has no end")
            tokens, estimated_from = self._counting.tokens(call, answer.usage, answer.delivered_bytes)
            tail = self._with_costs(answer.finish(tokens if estimated_from else None), call, tokens)
        patience.reschedule(None)
        await self._stream.close()
        if not estimated_from and self._first_byte_ms is not None:
            seconds = time.monotonic() - self._called_at - self._first_byte_ms / 1000
            self._counting.note_streamed(self._at, tokens, first_byte_ms=self._first_byte_ms, seconds=seconds)
        self._ending = Ending(
            Outcome.COMPLETED,
            tail=self._stream.tail(tail),
            size=self._stream.size,
            tokens=tokens,
            quantities=list(call.quantities()),
            estimated_from=estimated_from,
            first_byte_ms=self._first_byte_ms,
        )

    async def _refuse(self, call: Exchange, refused: AnswerRefused) -> None:
        """Ends a stream that breaks a rule of the client's organization. The provider bills what it wrote."""
        self._count(None)
        self._ending = await self._failed(_refusal_of(refused))
        counted = self._counting.tokens(call, call.stream.usage, call.stream.delivered_bytes)
        self._ending.tokens, self._ending.estimated_from = counted
        self._ending.quantities = list(call.quantities())

    def _with_costs(self, text: str, call: Exchange, tokens: TokenUsage) -> str:
        """The answer, or the end of its stream, with what it costs, if its client asked for that."""
        request, at = self._route, self._at
        if not text or request.surface in ENDPOINTS or not costs.are_wanted(self._prompt.body):
            return text
        quantities = list(call.quantities())
        price = self._price_at(at)
        return costs.with_costs(text, priced(tokens, quantities, price, byok=at.grant.byok, free=request.free))

    async def _drain(self) -> None:
        """Returns when there is room for more. A client that reads nothing for long is taken for gone."""
        while self._stream.full:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALLED_S):
                    await self._stream.drain()
            if self._stream.full and self._stream.unread:
                log.warning("the client does not read", **self._about)
                self.stop(Outcome.CANCELLED)
                await asyncio.sleep(0)

    def _read_on(self, count: int) -> None:
        """Counts what comes after the client has left; it goes nowhere."""
        self._read_on_bytes = (self._read_on_bytes or 0) + count
        if self._read_on_bytes > MOST_READ_ON and self._task:
            self._task.cancel()

    async def _stopped(self, outcome: Outcome, whole: Ending | None = None) -> Ending:
        """
        Args:
            whole: the answer came to its end all the same.
        """
        if whole is not None:
            if outcome is Outcome.CANCELLED:
                whole.outcome, whole.status, whole.body, whole.tail = outcome, 499, None, None
            return whole
        ending = await self._failed(CANCELLED if outcome is Outcome.CANCELLED else STOPPED)
        ending.outcome = outcome
        if outcome is Outcome.CANCELLED:
            ending.status, ending.refusal = 499, None
        if self._called_at and self._call:
            # The provider has worked on the prompt, whether or not a byte came back.
            ending.quantities = list(self._call.quantities())
            if outcome is Outcome.CANCELLED and not ending.quantities:
                provider = self._catalog.at(self._at.model or self._route.model, self._at.provider_id)
                worked_s = time.monotonic() - self._called_at
                counted = self._counting.of_left(self._call, self._at, provider, worked_s)
                ending.tokens, ending.estimated_from = counted
            elif self._call.stream.usage is None:
                counted = self._counting.tokens(self._call, None, self._call.stream.delivered_bytes)
                ending.tokens, ending.estimated_from = counted
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
            ending.size = self._stream.size
            if isinstance(self._sent, str):
                error_event = DIALECTS[self._route.surface].error_event
                ending.tail = self._stream.tail(error_event(refusal.message, refusal.status, self._sent))
            ending.quantities = list(self._call.quantities())
            counted = self._counting.tokens(self._call, answer.usage, answer.delivered_bytes)
            ending.tokens, ending.estimated_from = counted
        elif answer.usage is not None:
            ending.tokens = answer.usage
        return ending


def _refusal_of(refused: AnswerRefused) -> Refusal:
    return Refusal(status=403, message=str(refused), metadata={"rule": refused.rule})


@contextmanager
def _our_words(provider_id: str) -> Iterator[None]:
    """Turns what a protocol says of an answer into `UpstreamError`."""
    try:
        yield
    except ProtocolError:
        raise UpstreamError(broke_off(provider_id)) from None
    except ProviderFailure as error:
        raise UpstreamError(failed_in_answer(provider_id, str(error))) from None
