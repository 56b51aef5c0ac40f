"""Attempts of other relays that have no end on the log: does the relay that began them live?"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from contracts import topics
from contracts.attempts import AttemptEnded
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
    def can_go_on(self) -> bool:
        return self.job is not None and continuation(self.job, self.delivered, taken=False) is not None


class Examination:
    """The attempts of one assignment that a relay began elsewhere. The group knows who is alive (ADR 5)."""

    def __init__(self, service: Service, relay_id: str, judge: Judge) -> None:
        self._service = service
        self._relay_id = relay_id
        self._judge = judge
        self._open: dict[RequestId, Examine] = {}
        self._going_on: list[tuple[Examine, Job]] = []
        self._round: asyncio.Task[None] | None = None

    def add(self, examine: Examine) -> None:
        """Examines one more."""
        self._open[examine.route.request_id] = examine

    def take_going_on(self) -> list[tuple[Examine, Job]]:
        """Attempts that another call is to go on with, found since the last time: begin them while the partitions are
        certainly here, so that whoever has them next finds that on the log."""
        found, self._going_on = self._going_on, []
        return found

    def look(self) -> None:
        """Begins a round, unless one goes on: new records do not wait for it."""
        if self._open and not (self._round and not self._round.done()):
            self._round = asyncio.create_task(self._look(), name="examine attempts")

    async def _look(self) -> None:
        try:
            alive = await group_members(self._service.bus, RELAY_GROUP.name)
            for ended in await self._ended():
                await self._judge.on_ended(ended)
                self._open.pop(ended.request_id, None)
            dead = await self._dead(alive)
            await read_delivered(self._service.bus, {name: one.stream for name, one in dead.items()})
            # Who went on with a stream may be dead, too, or live.
            others = [one for one in alive if not one.startswith(self._relay_id)]
            dead = {name: one for name, one in dead.items() if not _lives(one.delivered.relay_id, others)}
            if self._judge.closed:
                return
            taken = await self._take_over({name: one for name, one in dead.items() if one.job})
            for name, one in dead.items():
                self._settle(name, one, taken=name in taken)
        except Exception as error:
            log.warning("attempts are examined again", error=repr(error)[:200])

    async def _ended(self) -> list[AttemptEnded]:
        since_ms = min(examine.started.started_at_ms for examine in self._open.values()) - 1
        ended: dict[RequestId, AttemptEnded] = {}
        async for found in self._service.recover(topics.ATTEMPTS, since_ms=since_ms):
            if isinstance(found, Received):
                attempt = found.record
                if isinstance(attempt, AttemptEnded) and attempt.request_id in self._open:
                    ended[attempt.request_id] = attempt
        return list(ended.values())

    async def _dead(self, alive: list[str]) -> dict[RequestId, _Dead]:
        """Those of which enough is known."""
        found: dict[RequestId, _Dead] = {}
        for request_id, examine in list(self._open.items()):
            route, started = examine.route, examine.started
            if _lives(started.relay_id, alive):
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

    async def _take_over(self, found: dict[RequestId, _Dead]) -> dict[RequestId, _Dead]:
        """From here on the streams of those that can go on are the next call's, and what is before that on the log is
        what it goes on with: a relay that was taken for dead, and was not, adds nothing to them any more."""
        left = await self._left(found)
        chosen = {name: one for name, one in found.items() if name not in left and one.can_go_on}
        published = []
        for one in chosen.values():
            assert one.delivered.started is not None
            call = one.delivered.call + 1
            taken = one.delivered.started.model_copy(update={"call": call, "relay_id": self._relay_id})
            topic = topics.replies_of(one.examine.route.reply_to)
            published.append(await self._service.producer.publish(topic, taken, one.examine.traceparent))
        await settle(published)
        if chosen:
            await read_delivered(self._service.bus, {name: one.stream for name, one in chosen.items()})
        return chosen

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

    def _settle(self, request_id: RequestId, one: _Dead, *, taken: bool) -> None:
        if taken and one.delivered.relay_id != self._relay_id:
            # Another relay was faster: the next round looks whether that lives.
            return
        if one.delivered.ended:
            # So the end of the attempt is on the log, too; the next round has it.
            return
        self._open.pop(request_id, None)
        log.warning(
            "attempt was interrupted",
            traceparent=one.examine.traceparent,
            request_id=request_id,
            relay_id=one.examine.started.relay_id,
        )
        if taken and one.job and (job := continuation(one.job, one.delivered, taken=True)):
            self._going_on.append((one.examine, job))
        else:
            self._judge.on_interrupted(one.examine, _interrupted(one))


def _lives(relay_id: str, alive: list[str]) -> bool:
    return bool(relay_id) and any(member.startswith(relay_id) for member in alive)


def _interrupted(one: _Dead) -> Ending:
    """The books get what the dead relay had delivered: it is on the log."""
    route, delivered = one.examine.route, one.delivered
    ending = failed(INTERRUPTED)
    ending.outcome, ending.estimated_from = Outcome.INTERRUPTED, "text"
    ending.tokens, ending.size, ending.call = delivered.counted(route), delivered.size, delivered.call
    if delivered.last:
        error = DIALECTS[route.surface].error_event(INTERRUPTED.message, INTERRUPTED.status, delivered.last)
        ending.tail = numbered(error, delivered.size).decode()
    return ending
