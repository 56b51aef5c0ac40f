"""Attempts of other relays that have no end on the log: does the relay that began them live?"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from contracts import topics
from contracts.attempts import AttemptEnded, AttemptStarted
from contracts.clock import now_ms
from contracts.prompts import PromptSubmitted
from contracts.record import Lasting, Refusal, RequestId
from contracts.replies import Outcome
from contracts.requests import RequestCancelled
from contracts.routes import RoutePlanned
from contracts.services import RELAY_GROUP
from libs.bus.admin import group_members
from libs.bus.producer import settle
from libs.bus.records import Received
from libs.bus.service import Service
from libs.chat.event_ids import numbered
from libs.chat.surfaces.registry import DIALECTS
from services.relay.core.continuing import continuation, cut_of
from services.relay.core.course import Course
from services.relay.core.delivered import Delivered
from services.relay.core.ending import Ending, failed
from services.relay.core.intake import Examine
from services.relay.core.job import Job
from services.relay.reading import Wanted, read_delivered

log = structlog.get_logger()

INTERRUPTED = Refusal(
    status=502, message="The relay that served this request died; what came before is all there is. Try again."
)


class Judge(Protocol):
    """What becomes of attempts that were examined."""

    @property
    def closed(self) -> bool:
        """The partitions have gone: others judge now."""

    def prompt_of(self, request_id: RequestId) -> PromptSubmitted | None:
        """The prompt, once it has come."""

    async def job_of(self, route: RoutePlanned, prompt: PromptSubmitted, trace: str) -> Job | None:
        """The request with what its catalog says; None where that is not known."""

    async def on_ended(self, ended: AttemptEnded) -> None:
        """It has ended after all."""

    def runs(self, request_id: RequestId) -> bool:
        """An attempt of this request runs in this process."""

    async def go_on(self, examined: Examine, job: Job) -> bool:
        """Its relay is dead, and its stream is this one's, partition or not: begins the call that goes on with it, or
        returns False where there is no room for that."""

    def on_interrupted(self, examined: Examine, ending: Ending) -> None:
        """Its relay is dead, and had delivered so much."""


@dataclass(slots=True)
class _Dead:
    """An attempt whose relay is dead."""

    examine: Examine
    job: Job | None
    """Where another call may go on with it."""
    stream: Wanted

    @property
    def delivered(self) -> Delivered:
        return self.stream.delivered

    @property
    def call(self) -> int:
        """The number of the call that was cut."""
        return max(self.examine.started.call, self.delivered.call)

    def going_on(self, call: int) -> Job | None:
        """The job of this call, as far as the stream has been read; None where there cannot be one."""
        return continuation(self.job, self.delivered, call) if self.job else None


class Examination:
    """The attempts of one assignment that a relay began elsewhere. The group knows who is alive (ADR 5)."""

    def __init__(self, service: Service, relay_id: str, judge: Judge) -> None:
        self._service = service
        self._relay_id = relay_id
        self._judge = judge
        self._open: dict[RequestId, Examine] = {}
        self._round: asyncio.Task[None] | None = None

    def add(self, examine: Examine) -> None:
        """Examines one more."""
        self._open[examine.route.request_id] = examine

    def look(self) -> None:
        """Begins a round, unless one goes on: new records do not wait for it."""
        if self._open and not (self._round and not self._round.done()):
            self._round = asyncio.create_task(self._look(), name="examine attempts")

    async def _look(self) -> None:
        try:
            alive = await group_members(self._service.bus, RELAY_GROUP.name)
            await self._note_courses()
            dead = await self._dead(alive)
            await read_delivered(self._service.bus, {name: one.stream for name, one in dead.items()})
            if self._judge.closed:
                return
            chosen = await self._chosen(dead)
            for name, one in dead.items():
                if name not in chosen and not one.delivered.ended:
                    self._interrupt(name, one)
            await self._take_over(chosen)
        except Exception as error:
            log.warning("attempts are examined again", error=repr(error)[:200])

    async def _note_courses(self) -> None:
        """Other relays may have ended them, or gone on with them."""
        for request_id, course in (await self._courses(self._open)).items():
            if course.ended:
                self._open.pop(request_id)
                await self._judge.on_ended(course.ended)
            elif course.started:
                self._open[request_id] = replace(self._open[request_id], started=course.started)

    async def _courses(self, wanted: Iterable[RequestId]) -> dict[RequestId, Course]:
        courses = {name: Course(started=self._open[name].started) for name in wanted if name in self._open}
        if not courses:
            return courses
        since_ms = min(self._open[name].started.started_at_ms for name in courses) - 1
        async for found in self._service.recover(topics.ATTEMPTS, since_ms=since_ms):
            if isinstance(found, Received) and found.record.request_id in courses:
                courses[found.record.request_id].take(found.record)
        return courses

    async def _dead(self, alive: list[str]) -> dict[RequestId, _Dead]:
        """Those of which enough is known."""
        found: dict[RequestId, _Dead] = {}
        for request_id, examine in list(self._open.items()):
            route, started = examine.route, examine.started
            if self._lives(started, alive):
                continue
            prompt = self._judge.prompt_of(request_id)
            kept = route.reply_to.lasting is Lasting.KEPT
            if prompt is None and (kept or route.stream) and now_ms() < route.deadline_ms:
                # It comes: its record is in work, as the route's is.
                continue
            job = await self._judge.job_of(route, prompt, examine.traceparent) if prompt else None
            cut = cut_of(job) if job else None
            key = prompt.answer_key if prompt else None
            # The first call began it; the one that was started last may have gone on with it.
            since_ms = min(route.accepted_at_ms, started.started_at_ms)
            delivered = Delivered(sealed=kept and key is None, cut=cut)
            found[request_id] = _Dead(examine, job if cut else None, Wanted(route, delivered, key, since_ms))
        return found

    def _lives(self, started: AttemptStarted, alive: list[str]) -> bool:
        if started.relay_id == self._relay_id:
            return self._judge.runs(started.request_id)
        return any(member.startswith(started.relay_id) for member in alive)

    async def _chosen(self, dead: dict[RequestId, _Dead]) -> dict[RequestId, _Dead]:
        """Those that another call is to go on with."""
        chosen = {name: one for name, one in dead.items() if one.going_on(one.call + 1)}
        left = await self._left(chosen)
        return {name: one for name, one in chosen.items() if name not in left}

    async def _take_over(self, chosen: dict[RequestId, _Dead]) -> None:
        """Begins the next call of each, if it is this relay's: the first on the log that says so has it."""
        if not chosen:
            return
        calls = {name: one.call + 1 for name, one in chosen.items()}
        published = [
            await self._service.producer.publish(
                topics.ATTEMPTS, self._start(one, calls[name]), one.examine.traceparent
            )
            for name, one in chosen.items()
        ]
        await settle(published)
        courses = await self._courses(chosen)
        taken = {name: one for name, one in chosen.items() if courses[name].runs(self._relay_id, calls[name])}
        # From here on the streams are these calls', and what is before that on the log is what they go on with: a relay
        # that was taken for dead, and was not, adds nothing to them any more.
        published = []
        for name, one in taken.items():
            assert one.delivered.started is not None
            record = one.delivered.started.model_copy(update={"call": calls[name], "relay_id": self._relay_id})
            topic = topics.replies_of(one.examine.route.reply_to)
            published.append(await self._service.producer.publish(topic, record, one.examine.traceparent))
        await settle(published)
        await read_delivered(self._service.bus, {name: one.stream for name, one in taken.items()})
        for name, one in taken.items():
            job = one.going_on(calls[name])
            if job is None or not await self._judge.go_on(one.examine, job):
                self._interrupt(name, one)
            else:
                self._close(name, one)

    def _start(self, one: _Dead, call: int) -> AttemptStarted:
        assert one.delivered.started is not None
        return AttemptStarted(
            request_id=one.examine.route.request_id,
            provider_id=one.delivered.started.provider_id or "",
            relay_id=self._relay_id,
            started_at_ms=now_ms(),
            call=call,
        )

    async def _left(self, found: dict[RequestId, _Dead]) -> set[RequestId]:
        """Those whose clients have cancelled them: no relay may have been there to notice."""
        if not found:
            return set()
        since_ms = min(one.stream.since_ms for one in found.values()) - 1
        left: set[RequestId] = set()
        async for came in self._service.recover(topics.CANCELLATIONS, since_ms=since_ms):
            if isinstance(came, Received) and isinstance(came.record, RequestCancelled):
                left.add(came.record.request_id)
        return left

    def _interrupt(self, request_id: RequestId, one: _Dead) -> None:
        self._close(request_id, one)
        self._judge.on_interrupted(one.examine, _interrupted(one))

    def _close(self, request_id: RequestId, one: _Dead) -> None:
        self._open.pop(request_id, None)
        log.warning(
            "attempt was interrupted",
            traceparent=one.examine.traceparent,
            request_id=request_id,
            relay_id=one.examine.started.relay_id,
        )


def _interrupted(one: _Dead) -> Ending:
    """The books get what the dead relay had delivered: it is on the log."""
    route, delivered = one.examine.route, one.delivered
    ending = failed(INTERRUPTED)
    ending.outcome, ending.estimated_from = Outcome.INTERRUPTED, "text"
    ending.tokens, ending.size, ending.call = delivered.counted(route), delivered.size, one.call
    if delivered.last:
        error = DIALECTS[route.surface].error_event(INTERRUPTED.message, INTERRUPTED.status, delivered.last)
        ending.tail = numbered(error, delivered.size).decode()
    return ending
