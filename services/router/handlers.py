"""Records in, routes out. A request's record stays in work until its route is on the log."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.clock import now_ms
from contracts.decisions import CredentialGranted, PolicyDecided, QuotaReserved
from contracts.outcomes import OutcomesCounted
from contracts.record import Record, Refusal
from contracts.replies import Outcome, ReplyEnded
from contracts.requests import ProviderSort, RequestAccepted
from contracts.routes import RequestRejected, RoutePlanned
from libs.bus.consumer import Batch, Consumer, Partitions
from libs.bus.dead_letters import DeadLetters
from libs.bus.producer import Acknowledgement, Producer, settle
from libs.bus.received import Poison, Received
from libs.config.catalog import Catalog
from libs.telemetry.tracing import Step
from services.router.core.health import Health
from services.router.core.join import Allowed, Join, Refused
from services.router.core.plan import plan, reject

log = structlog.get_logger()

Place = Received[Record]
Verdict = Allowed[Place] | Refused[Place]
BROKEN = Refusal(
    status=500, message="A record of this request could not be read; it was kept for the operator. Try again."
)
UNPLANNED = Refusal(status=500, message="The gateway failed; it was logged, and nothing was charged. Try again.")


class RouterHandlers:
    """The join of one instance's partitions. Set `consumer` before it starts."""

    consumer: Consumer

    def __init__(
        self,
        producer: Producer,
        dead_letters: DeadLetters,
        *,
        catalog: Catalog,
        health: Health,
        sort: ProviderSort,
        keep_ms: int,
    ) -> None:
        self._producer = producer
        self._dead_letters = dead_letters
        self._catalog = catalog
        self._health = health
        self._sort = sort
        self._keep_ms = keep_ms
        self._join: Join[Place] = Join(keep_ms)
        self._untold: list[Verdict] = []
        """Verdicts that the log would not take."""
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to look for requests that nobody decides."""
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Ends looking."""
        if self._ticker:
            self._ticker.cancel()

    async def assigned(self, _partitions: Partitions) -> None:
        """Begins with an empty join; the log is rewound to rebuild it."""
        self._join = Join(self._keep_ms)
        self._untold = []

    async def handle(self, batch: Batch) -> None:
        """Joins a batch and publishes what became whole."""
        now = now_ms()
        verdicts: list[Verdict] = []
        for received in batch:
            record = received.record
            if isinstance(record, RequestAccepted):
                verdict = self._join.request(record, received, received.traceparent, now)
                if verdict is not None or self._join.holds(record.request_id, received):
                    self.consumer.hold(received)
            else:
                assert isinstance(record, PolicyDecided | QuotaReserved | CredentialGranted)
                verdict = self._join.decision(record, now)
            if verdict is not None:
                verdicts.append(verdict)
        await self._tell(verdicts, now)

    async def poisoned(self, poison: Poison) -> None:
        """Answers the client of a request of which a record is broken."""
        if poison.request_id is None:
            return
        now = now_ms()
        verdict = self._join.fail(poison.request_id, BROKEN, now)
        if verdict is not None:
            await self._tell([verdict], now)
        elif poison.topic is topics.REQUESTS and poison.reply_to:
            # Nobody knows more of it than its headers: the client is told, and there is nothing to enter in the books.
            ended = ReplyEnded(
                request_id=poison.request_id,
                ingress_id=poison.reply_to.ingress_id,
                outcome=Outcome.FAILED,
                status=BROKEN.status,
                refusal=BROKEN,
            )
            acknowledgement = await self._producer.send(
                topics.REPLIES,
                ended,
                key=poison.request_id,
                event_id=f"{poison.request_id}/ReplyEnded",
                subject=poison.request_id,
                traceparent=poison.traceparent,
                partition=poison.reply_to.partition,
            )
            await settle([acknowledgement])

    def outcomes(self, raws: "Sequence[ConsumerRecord[Any, Any]]") -> None:
        """Every router hears of every provider."""
        for raw in raws:
            record = self._dead_letters.read(raw)
            if record is None:
                continue
            assert isinstance(record, OutcomesCounted)
            now = now_ms()
            before = self._health.standing(record.provider_id, now)
            self._health.note(record, now)
            after = self._health.standing(record.provider_id, now)
            if after is not before:
                log.warning("provider", provider=record.provider_id, was=before.name, now=after.name)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            now = now_ms()
            expired = self._join.expire(now)
            for verdict in expired:
                log.warning("request expired", request_id=verdict.request.request_id, why=verdict.refusal.message)
            again, self._untold = self._untold, []
            try:
                await self._tell([*again, *expired], now)
            except Exception as error:
                # Whatever it is: without this loop nobody would look for requests that nobody decides.
                log.warning("routes are told again", error=type(error).__name__)

    async def _tell(self, verdicts: Sequence[Verdict], now: int) -> None:
        """Finishes requests once the log has their routes; the ticker tells it again what it does not take.

        The join gives a verdict once, so a batch that comes again has none.

        Raises:
            KafkaError: the log did not take all of them.
        """
        try:
            await settle([await self._publish(verdict, now) for verdict in verdicts])
        except KafkaError:
            self._untold += verdicts
            raise
        for verdict in verdicts:
            self.consumer.release(verdict.place)

    async def _publish(self, verdict: Verdict, now: int) -> Acknowledgement:
        request = verdict.request
        step = Step("router plan", verdict.traceparent)
        route = self._route(verdict, now)
        if isinstance(route, RequestRejected):
            step.note({"sluice.refusal.status": route.refusal.status})
        else:
            step.note({"gen_ai.provider.name": route.provider_id})
        acknowledgement = await self._producer.send(
            topics.ROUTES,
            route,
            key=request.request_id,
            event_id=f"{request.request_id}/{type(route).__name__}",
            subject=request.request_id,
            traceparent=step.traceparent,
            reply_to=request.reply_to.encode(),
        )
        step.end()
        return acknowledgement

    def _route(self, verdict: Verdict, now: int) -> RoutePlanned | RequestRejected:
        if isinstance(verdict, Refused):
            return reject(verdict, now)
        try:
            return plan(verdict, self._catalog, self._health, self._sort, now)
        except Exception:
            # The batch that comes again has no verdict: raised from here, the request would have no ending.
            log.exception("route cannot be planned", request_id=verdict.request.request_id)
            unplanned = Refused(
                request=verdict.request,
                refusal=UNPLANNED,
                failed=True,
                quota=verdict.quota,
                place=verdict.place,
                traceparent=verdict.traceparent,
            )
            return reject(unplanned, now)
