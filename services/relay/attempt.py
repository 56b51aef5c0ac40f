"""One attempt of a request: the turns of its providers, until one has answered or somebody ends it."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from weakref import WeakMethod

import structlog

from contracts.clock import now_ms
from contracts.replies import Outcome
from contracts.routes import Target
from libs.chat.providers.errors import timed_out
from libs.chat.surfaces import costs
from services.relay import endings
from services.relay.answer_cache import Hit
from services.relay.called import Called, Client
from services.relay.calling import Calling
from services.relay.core.continuing import may_go_on
from services.relay.core.costing import costs as priced
from services.relay.core.ending import FAULT, Ending
from services.relay.core.job import Job
from services.relay.core.keeping import Kept
from services.relay.core.turns import Turns
from services.relay.counting import Counting
from services.relay.left import ReadingOn
from services.relay.means import Means
from services.relay.ownership import LeftError
from services.relay.replay import replay
from services.relay.reply_stream import ReplyStream
from services.relay.upstream import UpstreamError

log = structlog.get_logger()


class Attempt:
    """Runs a route. `run` always returns an ending, unless it is left, or its task is cancelled from outside."""

    def __init__(self, job: Job, stream: ReplyStream, means: Means, is_ours: Callable[[], Awaitable[bool]]) -> None:
        """
        Args:
            is_ours: the request is still this relay's; asked before another provider is.
        """
        route = job.route
        # What another key's answer was kept by were not these rules.
        self._lookup = means.cache.lookup(route, job.prompt) if route.cache and job.rules is None else None
        goes_on = job.goes_on
        self._job = job
        self._stream = stream
        self._means = means
        self._is_ours = is_ours
        self._counting = Counting(route, means.paces, means.tally, goes_on.before if goes_on else None)
        self._reading_on = ReadingOn(means.left, means.timeouts.leave_s)
        self._client = Client(stream, self._lookup, self._reading_on, WeakMethod(self._client_left))
        if goes_on:
            self._client.sent = goes_on.last
        self._task: asyncio.Task[Ending] | None = None
        self._stop_as: Outcome | None = None
        self._is_left = False
        self._tried: list[str] = stream.tried
        self._calling = self._turn_to(route.targets[0])

    def read(self, size: int) -> None:
        """The client has been sent so much of the stream, in all."""
        self._stream.read(size)

    def stop(self, outcome: Outcome) -> None:
        """Ends the attempt as CANCELLED or INTERRUPTED, and closes the connection to the provider.

        Where the client has left, the answer is read on for a little: its counts may be about to come.
        """
        if self._stop_as is not None and outcome is not Outcome.INTERRUPTED:
            return
        # Nobody has to read any more before the rest may be written, or read on.
        self._stream.read(sys.maxsize)
        leaves = self._stop_as is None and outcome is Outcome.CANCELLED and self._calling.called.at_s
        self._stop_as = self._stop_as or outcome
        if self._task and not (leaves and self._reading_on.begin(self._task)):
            self._task.cancel()

    def _client_left(self) -> None:
        self.stop(Outcome.CANCELLED)

    def leave(self) -> bool:
        """Ends it without an ending, where another relay can go on with its stream; else False."""
        if not self._task or self._stream.holds or not self._stream.started or not may_go_on(self._job):
            return False
        self._is_left = True
        self._task.cancel()
        return True

    @property
    def answer_key(self) -> bytes | None:
        """With which the answer is sealed."""
        return self._job.prompt.answer_key

    @property
    def kept(self) -> Kept | None:
        """What is to be stored of an answer that ended well, if its client wants it stored."""
        keeper = self._calling.called.keeper
        return keeper.kept if keeper else None

    def never_begun(self) -> Ending:
        """It was cancelled before."""
        ending = Ending(Outcome.CANCELLED, status=499, attempts=0)
        if goes_on := self._job.goes_on:
            ending.size, ending.call, ending.attempts = goes_on.size, goes_on.call, goes_on.call
            ending.tokens, ending.estimated_from = self._counting.of_none()
        return ending

    async def run(self) -> Ending:
        """Calls the providers, one after the other until one answers, and relays the answer.

        Raises:
            LeftError: see `leave`; or another relay has it.
        """
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
        percent, job = self._means.cache.settings.cost_percent, self._job
        ending = await replay(hit, self._stream, cost_percent=percent, stopped=lambda: self._stop_as)
        if costs.are_wanted(job.prompt.body):
            shown = priced(
                ending.tokens,
                ending.quantities,
                job.price_of(hit.target),
                byok=hit.target.grant.byok,
                free=job.route.free,
                percent=percent,
            )
            ending.body = ending.body and costs.with_costs(ending.body, shown)
            ending.tail = ending.tail and costs.with_costs(ending.tail, shown)
        return ending

    async def _answer(self) -> Ending:
        try:
            ending = await self._run()
        finally:
            self._reading_on.end()
        ending.target = self._calling.called.target
        ending.called_at_ms = self._calling.called.at_ms
        ending.call = self._job.call
        ending.tried, ending.attempts = self._tried, len(self._tried) + 1 + ending.call
        ending.dropped = self._stream.dropped
        ending.service_tier = self._calling.called.tier
        ending.upstream_ms = self._stream.upstream_ms if self._stream.started else self._client.waited_ms
        return ending

    async def _run(self) -> Ending:
        self._task = asyncio.create_task(self._within_deadline())
        if self._stop_as is not None:
            self._task.cancel()
        await asyncio.wait({self._task})
        called = self._calling.called
        if self._task.cancelled() and self._is_left:
            await self._stream.close()
            raise LeftError
        if self._task.cancelled():
            return await endings.stopped(called, self._stop_as or Outcome.INTERRUPTED, None)
        error = self._task.exception()
        if isinstance(error, LeftError):
            raise error
        if self._stop_as is not None:
            return await endings.stopped(called, self._stop_as, None if error else self._task.result())
        if isinstance(error, UpstreamError):
            return await endings.broken(called, error.refusal)
        if error is not None:
            log.error("attempt failed", error=type(error).__name__)
            return await endings.broken(called, FAULT)
        return self._task.result()

    async def _within_deadline(self) -> Ending:
        try:
            async with asyncio.timeout(self._job.left_s(now_ms())):
                return await self._in_turns()
        except TimeoutError:
            called = self._calling.called
            refusal = timed_out(called.target.provider_id, "end its answer before the deadline")
            if called.first_byte_ms is None:
                self._calling.count(refusal)
            raise UpstreamError(refusal) from None

    async def _in_turns(self) -> Ending:
        turns = Turns(self._job.route)
        while True:
            target = turns.next()
            self._calling = self._turn_to(target)
            try:
                return await self._calling.run()
            except UpstreamError as error:
                if self._stop_as or self._stream.started:
                    raise
                if self._job.route.patient and self._calling.has_no_room(error.refusal):
                    raise
                drawn = random.random()  # noqa: S311
                left_s = self._job.left_s(now_ms())
                wait_s = turns.failed(target, error.refusal, drawn=drawn, left_s=left_s)
                if wait_s is None:
                    raise
                self._tried.append(f"{target.provider_id}={error.refusal.status}")
                log.info("falling back", **self._calling.called.about, tried=self._tried)
            # Not before the connection to who failed is closed.
            if wait_s:
                await asyncio.sleep(wait_s)
            if not await self._is_ours():
                raise LeftError

    def _turn_to(self, target: Target) -> Calling:
        stream = self._stream
        stream.provider_id, stream.tried, stream.dropped = target.provider_id, self._tried, []
        stream.model = target.model
        return Calling(Called(self._job, target, self._counting, self._client), self._means)
