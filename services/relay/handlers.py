"""Routes and prompts in, attempts out. Both stay in work until everything about the request's end is on the log."""

from collections.abc import Sequence
from functools import partial

import structlog

from contracts import topics
from contracts.attempts import AttemptEnded
from contracts.clock import now_ms
from contracts.prompts import PromptSubmitted
from contracts.record import Record, Refusal, RequestId
from contracts.replies import refused
from contracts.routes import Route, RoutePlanned
from libs.bus.processor import Processor, Work
from libs.bus.records import DeadLetter, Received
from libs.bus.service import Service
from services.relay.attempts import Attempts
from services.relay.core.ending import Ending, failed, left, rejected
from services.relay.core.intake import Action, Cancel, Examine, Fail, Intake, Reject, Republish, Run
from services.relay.core.job import Job
from services.relay.examination import Examination

log = structlog.get_logger()

PROMPT_WITHIN_MS = 10_000
RECALL_BEFORE_MS = 60_000
"""A route that is delivered again was attempted no earlier than this before it was first written."""
LOOK_AFTER_EVERY_S = 0.5
BROKEN = Refusal(status=500, message="The route of this request could not be read; it was kept for the operator.")

Source = Received[Record]


class RelayProcessor(Processor[Route | PromptSubmitted]):
    """What one assignment brings: joins route and prompt, and sees to it that no route runs twice."""

    def __init__(self, work: Work, service: Service, attempts: Attempts, *, keep_ms: int, drain_s: float) -> None:
        """
        Args:
            keep_ms: see `Intake`.
            drain_s: see `RelaySettings`.
        """
        self._drain_s = drain_s
        self._work = work
        self._service = service
        self._attempts = attempts
        self._examination = Examination(service, attempts.relay_id, self)
        self._keep_ms = keep_ms
        self._intake: Intake[Source] = Intake(prompt_within_ms=PROMPT_WITHIN_MS, keep_ms=keep_ms)
        self._recalled_since_ms: dict[int, int] = {}

    async def load(self) -> None:
        """Recalls recent attempts; older ones when an older route comes."""
        await self._recall(self._work.partitions_of(topics.ROUTES), now_ms())

    async def process(self, batch: Sequence[Received[Route | PromptSubmitted]]) -> None:
        """Takes routes and prompts in, and starts what may be run."""
        now = now_ms()
        for partition, oldest_ms in self._unrecalled(batch).items():
            await self._recall({partition}, oldest_ms)
        for received in batch:
            record = received.record
            self._work.hold(received)
            if isinstance(record, PromptSubmitted):
                action = self._intake.prompt(record, received, now)
            elif self._attempts.adopt(record.request_id, partial(self._settle, record.request_id)):
                self._intake.adopt(record.request_id, received, now)
                continue
            else:
                action = self._intake.route(record, received, received.traceparent, now)
            if action is not None:
                await self._act(action)
            elif not self._intake.keeps(record.request_id):
                # The intake keeps the records of what it waits for; this request is settled or forgotten.
                self._work.finish(received)

    async def tick(self) -> None:
        """Ends what does not move by itself."""
        now = now_ms()
        for overdue in self._intake.expire(now, self._attempts.cancelled):
            if isinstance(overdue, Fail | Cancel):
                await self._act(overdue)
            else:
                for source in overdue:
                    self._work.finish(source)
        self._attempts.forget_cancellations(now - self._keep_ms)
        self._examination.look()

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        """Answers the client whose prompt or route is broken."""
        if letter.request_id is None:
            return
        if letter.topic is topics.PROMPTS:
            action = self._intake.broken(letter.request_id, now_ms())
            if action:
                await self._act(action)
        elif letter.reply_to:
            ended = refused(letter.request_id, letter.reply_to, BROKEN)
            await self._attempts.answer_unknown(ended, letter.traceparent)

    async def hand_over(self) -> None:
        """See `Attempts.started`."""
        await self._attempts.started()

    async def drain(self) -> None:
        """Lets attempts end."""
        await self._attempts.drain(self._drain_s, self._service.hurried)

    @property
    def closed(self) -> bool:
        """See `Judge`."""
        return self._work.closed

    def prompt_of(self, request_id: RequestId) -> PromptSubmitted | None:
        """See `Judge`."""
        return self._intake.prompt_of(request_id)

    async def job_of(self, route: RoutePlanned, prompt: PromptSubmitted, trace: str) -> Job | None:
        """See `Judge`."""
        return await self._attempts.job_of(route, prompt, trace)

    async def on_ended(self, ended: AttemptEnded) -> None:
        """See `Judge`."""
        action = self._intake.ended_elsewhere(ended)
        if action and not self._work.closed:
            await self._act(action)

    def runs(self, request_id: RequestId) -> bool:
        """See `Judge`."""
        return self._attempts.runs(request_id)

    async def go_on(self, examined: Examine, job: Job) -> bool:
        """See `Judge`."""
        return await self._attempts.begin(job, partial(self._settle, examined.route.request_id))

    def on_interrupted(self, examined: Examine, ending: Ending) -> None:
        """See `Judge`."""
        on_ended = partial(self._settle, examined.route.request_id)
        self._attempts.end_of_other(examined.route, ending, examined.traceparent, on_ended)

    def _unrecalled(self, batch: Sequence[Received[Record]]) -> dict[int, int]:
        oldest: dict[int, int] = {}
        for received in batch:
            if received.topic is topics.ROUTES:
                known_ms = oldest.get(received.partition, self._recalled_since_ms[received.partition])
                if received.timestamp_ms < known_ms:
                    oldest[received.partition] = received.timestamp_ms
        return oldest

    async def _recall(self, partitions: set[int], oldest_route_ms: int) -> None:
        """Reads what was attempted for routes that were written at this time or later."""
        now, since_ms = now_ms(), max(0, oldest_route_ms - RECALL_BEFORE_MS)
        async for found in self._service.recover(topics.ATTEMPTS, partitions=partitions, since_ms=since_ms):
            if isinstance(found, Received):
                self._intake.recall(found.record, now)
        self._recalled_since_ms |= dict.fromkeys(partitions, oldest_route_ms)

    async def _act(self, action: Action) -> None:
        if isinstance(action, Republish):
            self._attempts.republish(action.ended, action.traceparent, partial(self._settle, action.ended.request_id))
            return
        route, on_ended = action.route, partial(self._settle, action.route.request_id)
        if isinstance(action, Run):
            await self._attempts.run(action.route, action.prompt, action.traceparent, on_ended)
        elif isinstance(action, Reject):
            self._attempts.end(route, rejected(action.route), action.traceparent, on_ended)
        elif isinstance(action, Cancel):
            self._attempts.end(route, left(), action.traceparent, on_ended)
        elif isinstance(action, Fail):
            refusal = Refusal(status=500, message=f"Nothing was sent to a provider: {action.reason}. Try again.")
            self._attempts.end(route, failed(refusal, attempts=0), action.traceparent, on_ended)
        else:
            self._examination.add(action)

    def _settle(self, request_id: RequestId) -> None:
        """Everything about the request's end is on the log."""
        for source in self._intake.settled(request_id, now_ms()):
            self._work.finish(source)
