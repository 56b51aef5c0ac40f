"""The attempts that run in this relay, whatever becomes of the partitions that they came from."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import structlog

from contracts import topics
from contracts.attempts import AttemptEnded
from contracts.clock import now_ms
from contracts.control import PolicySet
from contracts.guardrails import AnswerRules, WebhookRules
from contracts.prompts import PromptSubmitted
from contracts.record import Refusal, RequestId
from contracts.replies import Outcome, ReplyEnded
from contracts.requests import ReplyRead, RequestCancelled, Surface
from contracts.routes import Route, RoutePlanned
from libs.bus.producer import Producer
from libs.bus.recent import RecentIds
from libs.bus.records import Received
from libs.bus.views import View
from libs.config.catalog import UNKNOWN_CATALOG
from libs.config.versions import CatalogVersions
from libs.runtime.background import Tasks
from libs.telemetry.tracing import Step
from services.relay.attempt import Attempt
from services.relay.beat import Beat
from services.relay.core.ending import Ending, failed
from services.relay.core.holding import held_bytes, held_for, room_for_prompts
from services.relay.core.job import Job
from services.relay.core.noting import Notes
from services.relay.core.own_keys import OwnKeyUses
from services.relay.diary import Diary
from services.relay.means import Means
from services.relay.ownership import LeftError, Ownership
from services.relay.quotas import note_key_use
from services.relay.recording import Recording
from services.relay.reply_stream import ReplyStream
from services.relay.server_attempt import ServerAttempt
from services.relay.storing import Storing

log = structlog.get_logger()

ENDS_WITHIN_S = 20.0
"""On the log, once they are to end."""
MOST_ATTEMPTS = 4_000
FULL = Refusal(
    status=503, message="The gateway holds too many large requests; nothing was charged, try again.", retry_after_s=1
)

OnEnded = Callable[[], None]


class _Running(NamedTuple):
    attempt: Attempt | ServerAttempt
    task: "asyncio.Task[bool]"
    member_id: str
    """As which of the group's it was begun."""


class Attempts:
    """Runs routes and publishes how they end. It outlives assignments: a partition may move on meanwhile."""

    def __init__(
        self,
        producer: Producer,
        means: Means,
        versions: CatalogVersions,
        policies: View[PolicySet],
        recording: Recording,
        ownership: Ownership,
    ) -> None:
        """
        Args:
            policies: by organization ID.
        """
        self._policies = policies
        self._recording = recording
        self._ownership = ownership
        self.relay_id = ownership.relay_id
        self._producer = producer
        self._beat = Beat()
        self._diary = Diary(producer, ownership)
        self._means = means
        self._versions = versions
        self._running: dict[RequestId, _Running] = {}
        self.cancelled = RecentIds()
        """Requests whose clients left."""
        self._own_keys = OwnKeyUses()
        self._storing = Storing(producer)
        self._starting = Tasks("starts of attempts")
        self._tasks = Tasks("attempts")
        self._room = asyncio.Semaphore(MOST_ATTEMPTS)
        self._held = room_for_prompts()

    async def run(self, route: RoutePlanned, prompt: PromptSubmitted, trace: str, on_ended: OnEnded) -> None:
        """Begins an attempt; waits while there are too many.

        Args:
            on_ended: called when everything about its end is on the log.
        """
        job = await self.job_of(route, prompt, trace)
        if job is None:
            self.end(route, failed(UNKNOWN_CATALOG, attempts=0), trace, on_ended)
        elif not await self.begin(job, on_ended):
            self.end(route, failed(FULL, attempts=0), trace, on_ended)

    async def job_of(self, route: RoutePlanned, prompt: PromptSubmitted, trace: str) -> Job | None:
        """The request with what its catalog says; None where that is not known here."""
        catalog = await self._versions.known(route.catalog_version)
        return Job(route, prompt, catalog, self._rules_of(route), trace) if catalog else None

    async def begin(self, job: Job, on_ended: OnEnded) -> bool:
        """Begins an attempt, or goes on with a stream of another relay. See `run`. False: too much is held already."""
        route, prompt, trace = job.route, job.prompt, job.traceparent
        owner, size = held_for(route), held_bytes(prompt.content)
        if not self._held.take(owner, size):
            log.warning("too many bytes are held", traceparent=trace, request_id=route.request_id)
            return False
        await self._room.acquire()
        step = Step("relay answer", trace, attributes={"sluice.request.id": route.request_id})
        stream = ReplyStream(
            self._producer, self._beat, route, route.windows, step.traceparent, prompt.answer_key, job.goes_on
        )
        stream.waited_ms = route.waited_ms
        job = replace(job, traceparent=step.traceparent)
        of_servers = route.surface is Surface.MCP
        if self._recording.rules_of(route) and not of_servers:
            stream.notes = Notes(job.goes_on.cut.text if job.goes_on else "")
        hook = self._hook_of(route)
        if hook and hook.after:
            stream.hold()
            # What it lets pass today it may not tomorrow.
            job = replace(job, route=route.model_copy(update={"cache": None}))
        # Whose stream it is that goes on, the log alone says: it says so already.
        member_id = "" if job.goes_on else self._ownership.member_id
        attempt = (
            ServerAttempt(job, stream, self._means, self._policy_of(route))
            if of_servers
            else Attempt(job, stream, self._means, partial(self._ownership.runs, job, member_id))
        )
        starting = None
        if not job.goes_on and route.request_id not in self.cancelled:
            starting = self._starting.spawn(self._diary.begin(route, member_id, step.traceparent))
        task = self._tasks.spawn(self._run(job, stream, attempt, starting, step, member_id))
        task.add_done_callback(lambda _: self._held.give(owner, size))
        self._running[route.request_id] = _Running(attempt, task, member_id)
        _notify(task, on_ended)
        return True

    def runs(self, request_id: RequestId) -> bool:
        """An attempt of this request runs here."""
        return request_id in self._running

    def _rules_of(self, route: RoutePlanned) -> AnswerRules | None:
        policy = self._policy_of(route)
        return policy.guardrails.answers if policy and policy.guardrails else None

    def _hook_of(self, route: RoutePlanned) -> WebhookRules | None:
        policy = self._policy_of(route)
        return policy.guardrails.webhook if policy and policy.guardrails else None

    def _policy_of(self, route: RoutePlanned) -> PolicySet | None:
        organization = route.caller.organization_id
        return self._policies.get(organization) if organization else None

    def end(self, route: Route, ending: Ending, trace: str, on_ended: OnEnded) -> None:
        """Ends a route without an attempt."""
        _notify(self._tasks.spawn(self._end(route, ending, self._ownership.member_id, trace)), on_ended)

    def end_of_other(self, route: Route, ending: Ending, trace: str, on_ended: OnEnded) -> None:
        """Ends the attempt of a relay that was found dead, unless that has ended it meanwhile."""
        _notify(self._tasks.spawn(self._end(route, ending, "", trace)), on_ended)

    def republish(self, ended: AttemptEnded, trace: str, on_ended: OnEnded) -> None:
        """Publishes what follows from an end that is on the log."""
        _notify(self._tasks.spawn(self._republish(ended, trace)), on_ended)

    def adopt(self, request_id: RequestId, on_ended: OnEnded) -> bool:
        """True if this route runs here: its partition went and came back meanwhile."""
        found = self._running.get(request_id)
        if found is None or found.member_id != self._ownership.member_id:
            # It was taken for dead meanwhile: the log says whose the route is.
            return False
        _notify(found.task, on_ended)
        return True

    def on_client(self, received: Received[RequestCancelled | ReplyRead]) -> None:
        """Every relay receives what every client does: a partition may have moved on while its attempt stayed here."""
        record = received.record
        found = self._running.get(record.request_id)
        if isinstance(record, ReplyRead):
            if found:
                found.attempt.read(record.size)
            return
        self.cancelled.add(record.request_id, now_ms())
        if found:
            found.attempt.stop(Outcome.CANCELLED)

    def forget_cancellations(self, until_ms: int) -> None:
        """Forgets those of this time or earlier."""
        self.cancelled.forget(until_ms)

    async def started(self) -> None:
        """Returns when the log knows of all attempts that were begun: their partitions may have another owner then."""
        while self._starting:
            await self._starting.wait(ENDS_WITHIN_S)

    async def drain(self, within_s: float, hurried: asyncio.Event) -> None:
        """Lets attempts end for a while, then leaves them to others or interrupts them; returns when everything is on
        the log.

        Args:
            hurried: set where nobody may go on with them.
        """
        if self._tasks:
            log.info("waiting for attempts", count=len(self._tasks))
        waiting = {asyncio.create_task(self._tasks.wait(within_s)), asyncio.create_task(hurried.wait())}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        for running in self._running.values():
            if hurried.is_set() or not running.attempt.leave():
                running.attempt.stop(Outcome.INTERRUPTED)
        await self._tasks.wait(ENDS_WITHIN_S)

    async def answer_unknown(self, ended: ReplyEnded, trace: str) -> None:
        """Answers the client of a route of which nothing but its headers is known."""
        await self._producer.publish_until_acknowledged(topics.replies_of(ended.reply_to), ended, trace)

    async def _run(
        self,
        job: Job,
        stream: ReplyStream,
        attempt: Attempt | ServerAttempt,
        starting: "asyncio.Task[None] | None",
        step: Step,
        member_id: str,
    ) -> bool:
        """False where it is left to another relay, whose the records in work are then."""
        route, request_id = job.route, job.route.request_id
        try:
            ending = await self._ending(job, stream, attempt, starting, member_id, step.traceparent)
            step.note(
                {
                    "sluice.outcome": ending.outcome.value,
                    "sluice.attempts": ending.attempts,
                    "sluice.tried": ", ".join(ending.tried),
                }
            )
            note_key_use(route, ending, self._versions, self._means.key_uses)
            await self._diary.end(route, ending, member_id, step.traceparent, attempt.answer_key)
            step.end(None if ending.refusal is None else str(ending.refusal.status))
            used = self._own_keys.used(route, ending, now_ms()) if ending.attempts else None
            if used:
                publish = self._producer.publish_until_acknowledged(topics.CREDENTIAL_USES, used, step.traceparent)
                self._tasks.spawn(publish)
            return True
        except LeftError:
            log.info("left to another relay", traceparent=step.traceparent, request_id=request_id)
            step.end("left")
            return False
        finally:
            # Who stood still meanwhile may have begun it once more.
            if (found := self._running.get(request_id)) and found.attempt is attempt:
                del self._running[request_id]
            self._room.release()

    async def _ending(
        self,
        job: Job,
        stream: ReplyStream,
        attempt: Attempt | ServerAttempt,
        starting: "asyncio.Task[None] | None",
        member_id: str,
        trace: str,
    ) -> Ending:
        """How it ended, once what is kept of the answer is on the log."""
        route = job.route
        if starting is None and route.request_id in self.cancelled:
            return attempt.never_begun()
        if starting:
            await starting
        if refusal := await self._diary.why_not_called(job, member_id):
            return failed(refusal, attempts=0)
        ending = await self._answered(job, attempt, stream)
        if not await self._ownership.runs(job, member_id):
            raise LeftError
        if ending.outcome is Outcome.COMPLETED and attempt.kept:
            ending.stored = await self._storing.store(attempt.kept, route.caller.owner, trace)
        if stream.notes:
            await self._recording.record(route, job.prompt, stream.notes, ending, trace)
        return ending

    async def _answered(self, job: Job, attempt: Attempt | ServerAttempt, stream: ReplyStream) -> Ending:
        """The answer, asked for and given as the webhook of the client's organization lets it."""
        rules, hooks = self._hook_of(job.route), self._means.hooks
        if rules is None:
            return await attempt.run()
        refusal = await hooks.before(job.route, job.prompt, rules) if rules.before and not job.goes_on else None
        if refusal:
            outcome = Outcome.REJECTED if refusal.status == 403 else Outcome.FAILED
            return Ending(outcome, refusal.status, refusal, attempts=0)
        ending = await attempt.run()
        return await hooks.after(job.route, ending, stream, rules) if stream.holds else ending

    async def _end(self, route: Route, ending: Ending, member_id: str, trace: str) -> bool:
        try:
            await self._diary.end(route, ending, member_id, trace)
        except LeftError:
            log.info("left to another relay", traceparent=trace, request_id=route.request_id)
            return False
        return True

    async def _republish(self, ended: AttemptEnded, trace: str) -> bool:
        await self._diary.publish_effects(ended, trace)
        return True


def _notify(task: "asyncio.Task[bool]", on_ended: OnEnded) -> None:
    def done(ended: "asyncio.Task[bool]") -> None:
        # One that failed leaves its records in work: the next owner of the partition tries again.
        if not ended.cancelled() and ended.exception() is None and ended.result():
            on_ended()

    task.add_done_callback(done)
