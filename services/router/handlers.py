"""Decisions in, routes out. A request's record stays in work until its route is on the log."""

from collections.abc import Iterable, Sequence

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from contracts import topics
from contracts.clock import now_ms
from contracts.decisions import Decision
from contracts.outcomes import OutcomesCounted
from contracts.record import Record, Refusal
from contracts.replies import PromptWanted, refused
from contracts.requests import RequestAccepted, Surface
from contracts.routes import RequestRejected, Route
from libs.breakers import Health
from libs.bus.processor import Processor, Work
from libs.bus.records import DeadLetter, Received
from libs.config.catalog import UNKNOWN_CATALOG, Catalog
from libs.config.versions import CatalogVersions
from libs.telemetry.instruments import JOINS, ROUTES
from libs.telemetry.tracing import Step
from services.router.core.join import Allowed, Join, Refused, failed
from services.router.core.plan import plan, reject
from services.router.core.servers import plan_servers
from services.router.core.sticky import Sticky

log = structlog.get_logger()

Source = Received[Record]
Verdict = Allowed[Source] | Refused[Source]
EXPIRE_EVERY_S = 0.5
BROKEN = Refusal(
    status=500, message="A record of this request could not be read; it was kept for the operator. Try again."
)
UNPLANNED = Refusal(status=500, message="The gateway failed; it was logged, and nothing was charged. Try again.")


class RouterProcessor(Processor[RequestAccepted | Decision]):
    """The join of the partitions of one assignment."""

    def __init__(self, work: Work, *, versions: CatalogVersions, health: Health, keep_ms: int) -> None:
        """
        Args:
            keep_ms: see `Join`.
        """
        self._work = work
        self._versions = versions
        self._health = health
        self._sticky = Sticky()
        self._join: Join[Source] = Join(keep_ms)
        self._unpublished: list[Verdict] = []
        """The join gives a verdict once: those that the log has not acknowledged."""

    async def process(self, batch: Sequence[Received[RequestAccepted | Decision]]) -> None:
        """Joins a batch and publishes what became whole."""
        now = now_ms()
        for received in batch:
            record = received.record
            if isinstance(record, RequestAccepted):
                verdict = self._join.request(record, received, received.traceparent, now)
                if verdict is not None or self._join.holds(record.request_id, received):
                    self._work.hold(received)
            else:
                verdict = self._join.decision(record, now)
            if verdict is not None:
                self._unpublished.append(verdict)
        await self._publish(now)

    async def tick(self) -> None:
        """Refuses requests that nobody decides."""
        now = now_ms()
        JOINS.set(self._join.waiting())
        for verdict in self._join.expire(now):
            trace = verdict.traceparent
            log.warning(
                "request expired", traceparent=trace, request_id=verdict.request.request_id, why=verdict.refusal.message
            )
            self._unpublished.append(verdict)
        await self._publish(now)

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        """Answers the client of a request of which a record is broken."""
        if letter.request_id is None:
            return
        now = now_ms()
        verdict = self._join.fail(letter.request_id, BROKEN, now)
        if verdict is not None:
            self._unpublished.append(verdict)
            await self._publish(now)
        elif letter.topic is topics.REQUESTS and letter.reply_to:
            # Nothing but its headers is known of it: its client is answered, and there is nothing for the books.
            ended = refused(letter.request_id, letter.reply_to, BROKEN)
            await self._work.publish(topics.replies_of(letter.reply_to), ended, letter.traceparent)

    async def _publish(self, now: int) -> None:
        """Finishes requests once the log has their routes. Raises KafkaError where it did not take all of them."""
        verdicts = list(self._unpublished)
        for verdict in verdicts:
            try:
                await self._publish_route(verdict, now)
            except MessageSizeTooLargeError:
                # A request is bounded far below its route. None may hold up the others.
                trace = verdict.traceparent
                log.exception("route is too large", traceparent=trace, request_id=verdict.request.request_id)
        await self._work.settle()
        self._unpublished.clear()
        self._finish(verdict.source for verdict in verdicts)

    def _finish(self, sources: Iterable[Source]) -> None:
        for source in sources:
            self._work.finish(source)

    async def _publish_route(self, verdict: Verdict, now: int) -> None:
        step = Step("router plan", verdict.traceparent)
        route = self._route(verdict, await self._versions.known(verdict.request.catalog_version), now)
        ROUTES.add(1, str(route.refusal.status if isinstance(route, RequestRejected) else 200))
        if isinstance(route, RequestRejected):
            step.note_refusal(route.refusal)
        else:
            step.note({"gen_ai.provider.name": route.targets[0].provider_id})
            if verdict.request.prompt_waits:
                wanted = PromptWanted(request_id=route.request_id, reply_to=route.reply_to)
                await self._work.publish(topics.replies_of(route.reply_to), wanted, step.traceparent)
        await self._work.publish(topics.ROUTES, route, step.traceparent)
        step.end()

    def _route(self, verdict: Verdict, catalog: Catalog | None, now: int) -> Route:
        if isinstance(verdict, Refused):
            return reject(verdict, now)
        if verdict.request.surface is Surface.MCP:
            return plan_servers(verdict, now) or reject(failed(verdict, UNPLANNED), now)
        if catalog is None:
            return reject(failed(verdict, UNKNOWN_CATALOG), now)
        try:
            return plan(verdict, catalog, self._health, now, self._sticky)
        except Exception:
            # The batch that comes again has no verdict: raised from here, the request would have no ending.
            trace = verdict.traceparent
            log.exception("route cannot be planned", traceparent=trace, request_id=verdict.request.request_id)
            return reject(failed(verdict, UNPLANNED), now)


def on_outcomes(health: Health, received: Received[OutcomesCounted]) -> None:
    """Takes in what a relay reports: every router knows of every provider."""
    record, now = received.record, now_ms()
    before = health.standing(record.provider_id, now)
    health.note(record, now)
    after = health.standing(record.provider_id, now)
    if after is not before:
        log.warning("provider", provider=record.provider_id, was=before.name, now=after.name)
