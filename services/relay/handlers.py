"""Records in, attempts out. Route and prompt stay in work until everybody was told how the request ended."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from contracts import headers as names
from contracts import topics
from contracts.attempts import AttemptEnded, AttemptStarted
from contracts.clock import now_ms
from contracts.headers import header
from contracts.prompts import PromptSubmitted
from contracts.record import Record, Refusal, ReplyAddress, RequestId
from contracts.replies import Outcome, ReplyChunk, ReplyEnded
from contracts.requests import RequestAccepted, RequestCancelled
from contracts.routes import RequestRejected, RoutePlanned
from libs.bus.consumer import Batch, Consumer, Partitions
from libs.bus.dead_letters import DeadLetters
from libs.bus.groups import group_members
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.received import Poison, PoisonError, Received, parse
from libs.bus.recent import RecentIds
from libs.bus.settings import BusSettings
from libs.chat.providers.openai_chat import estimate
from libs.chat.surfaces.registry import delivered_bytes
from libs.config.catalog import Catalog
from libs.config.gateway import Timeouts
from libs.telemetry.tracing import Step
from services.relay.attempt import Attempt
from services.relay.core.ending import Ending, failed, rejected, tell
from services.relay.core.intake import Action, Examine, Fail, Intake, Reject, Retell, Run
from services.relay.core.own_keys import OwnKeyUses
from services.relay.core.tally import Tally
from services.relay.grants import Grants
from services.relay.reply_stream import ReplyStream
from services.relay.upstream import Upstreams

log = structlog.get_logger()

GROUP = "relay"
PROMPT_WITHIN_MS = 10_000
RECALL_BEFORE_MS = 60_000
"""A route that is delivered again was attempted no earlier than this before it was first written."""
EXAMINE_EVERY_S = 1.0
RETRY_S = 0.2
DRAIN_S = 20.0
MOST_ATTEMPTS = 4_000
INTERRUPTED = Refusal(
    status=502, message="The relay that served this request died; what came before is all there is. Try again."
)
BROKEN = Refusal(status=500, message="The route of this request could not be read; it was kept for the operator.")

Place = Received[Record]


class RelayHandlers:
    """The attempts of one relay. Set `consumer` before it starts."""

    consumer: Consumer

    def __init__(
        self,
        relay_id: str,
        bus: BusSettings,
        producer: Producer,
        dead_letters: DeadLetters,
        *,
        grants: Grants,
        upstreams: Upstreams,
        tally: Tally,
        catalog: Catalog,
        timeouts: Timeouts,
    ) -> None:
        self._relay_id = relay_id
        self._bus = bus
        self._producer = producer
        self._dead_letters = dead_letters
        self._grants = grants
        self._upstreams = upstreams
        self._tally = tally
        self._catalog = catalog
        self._timeouts = timeouts
        self._keep_ms = int(timeouts.route_s * 2_000) + RECALL_BEFORE_MS
        self._intake: Intake[Place] = Intake(prompt_within_ms=PROMPT_WITHIN_MS, keep_ms=self._keep_ms)
        self._recalled_since_ms: dict[int, int] = {}
        self._running: dict[RequestId, Attempt] = {}
        self._cancelled = RecentIds()
        self._own_keys = OwnKeyUses()
        self._examined: dict[RequestId, tuple[Examine, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_ATTEMPTS)
        self._ticker: asyncio.Task[None] | None = None

    # The life of the process.

    async def start(self) -> None:
        """Begins to look after what does not move by itself."""
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Ends looking."""
        if self._ticker:
            self._ticker.cancel()

    async def drain(self) -> None:
        """Lets attempts end for a while, then interrupts them; returns when everybody was told."""
        if self._tasks:
            log.info("waiting for attempts", count=len(self._tasks))
            await asyncio.wait(self._tasks, timeout=DRAIN_S)
        for attempt in self._running.values():
            attempt.stop(Outcome.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_S)

    async def assigned(self, partitions: Partitions) -> None:
        """Begins with an empty intake; attempts that run here go on, wherever their partition went."""
        self._intake = Intake(prompt_within_ms=PROMPT_WITHIN_MS, keep_ms=self._keep_ms)
        self._recalled_since_ms.clear()
        self._examined.clear()
        await self._recall(partitions[topics.ROUTES], now_ms())

    # Records.

    async def handle(self, batch: Batch) -> None:
        """Takes routes and prompts in, and starts what may be run."""
        now = now_ms()
        for partition, oldest_ms in self._unrecalled(batch).items():
            await self._recall({partition}, oldest_ms)
        for received in batch:
            record = received.record
            self.consumer.hold(received)
            if isinstance(record, PromptSubmitted):
                action = self._intake.prompt(record, received, now)
            else:
                assert isinstance(record, RoutePlanned | RequestRejected)
                if record.request_id in self._running:
                    self._intake.adopt(record.request_id, received, now)
                    continue
                action = self._intake.route(record, received, received.traceparent, now)
            if action is None:
                self._let_go_if_settled(received, record)
            else:
                await self._act(action)

    async def poisoned(self, poison: Poison) -> None:
        """Answers the client whose prompt or route is broken."""
        if poison.request_id is None:
            return
        if poison.topic is topics.PROMPTS:
            action = self._intake.broken(poison.request_id, now_ms())
            if action:
                await self._act(action)
        elif poison.reply_to:
            await self._answer_unknown(poison.request_id, poison.reply_to, poison.traceparent)

    def cancellations(self, raws: "Sequence[ConsumerRecord[Any, Any]]") -> None:
        """Every relay hears every cancellation: a partition may have moved on while its attempt stayed here."""
        for raw in raws:
            record = self._dead_letters.read(raw)
            if record is None:
                continue
            assert isinstance(record, RequestCancelled)
            self._cancelled.add(record.request_id, now_ms())
            attempt = self._running.get(record.request_id)
            if attempt:
                attempt.stop(Outcome.CANCELLED)

    def _let_go_if_settled(self, received: Place, record: Record) -> None:
        # The intake keeps the places of what it waits for; those of what it has forgotten or settled are not kept.
        if not self._intake.keeps(record.request_id):  # type: ignore[attr-defined]
            self.consumer.release(received)

    # Recovery.

    def _unrecalled(self, batch: Batch) -> dict[int, int]:
        oldest: dict[int, int] = {}
        for received in batch:
            if received.topic == topics.ROUTES.name:
                known_ms = oldest.get(received.partition, self._recalled_since_ms[received.partition])
                if received.timestamp_ms < known_ms:
                    oldest[received.partition] = received.timestamp_ms
        return oldest

    async def _recall(self, partitions: set[int], oldest_route_ms: int) -> None:
        """Reads what was attempted for routes that were written at this time or later."""
        now, since_ms = now_ms(), max(0, oldest_route_ms - RECALL_BEFORE_MS)
        async for raw in read_to_end(self._bus, topics.ATTEMPTS, partitions=partitions, since_ms=since_ms):
            attempt = self._read_attempt(raw)
            if attempt:
                self._intake.recall(attempt, now)
        self._recalled_since_ms |= dict.fromkeys(partitions, oldest_route_ms)

    def _read_attempt(self, raw: "ConsumerRecord[Any, Any]") -> AttemptStarted | AttemptEnded | None:
        record = self._dead_letters.read(raw)
        assert record is None or isinstance(record, AttemptStarted | AttemptEnded)
        return record

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(EXAMINE_EVERY_S)
            now = now_ms()
            try:
                for overdue in self._intake.expire(now):
                    if isinstance(overdue, Fail):
                        await self._act(overdue)
                    else:
                        for place in overdue:
                            self.consumer.release(place)
                self._cancelled.forget(now - self._keep_ms)
                if self._examined:
                    await self._examine()
            except Exception as error:
                # The next round tries again; without rounds nobody would look after what is stuck.
                log.warning("examination is tried again", error=type(error).__name__)

    async def _examine(self) -> None:
        """Ends attempts of dead relays as interrupted; leaves those of living ones to them."""
        alive = await group_members(self._bus, GROUP)
        since_ms = min(partition_and_since for _, partition_and_since in self._examined.values())
        ended: dict[RequestId, AttemptEnded] = {}
        async for raw in read_to_end(self._bus, topics.ATTEMPTS, since_ms=since_ms):
            attempt = self._read_attempt(raw)
            if isinstance(attempt, AttemptEnded) and attempt.request_id in self._examined:
                ended[attempt.request_id] = attempt
        for request_id, (examine, _) in list(self._examined.items()):
            if request_id in ended:
                del self._examined[request_id]
                retell = self._intake.ended_elsewhere(ended[request_id])
                if retell:
                    await self._act(retell)
            elif not any(member.startswith(examine.started.relay_id) for member in alive):
                del self._examined[request_id]
                log.warning("attempt was interrupted", request_id=request_id, relay_id=examine.started.relay_id)
                self._spawn(self._interrupt(examine))

    async def _interrupt(self, examine: Examine) -> None:
        """The books are told what the dead relay had delivered: it is on the log."""
        request = examine.route.request
        ending = failed(INTERRUPTED)
        ending.outcome, ending.estimated = Outcome.INTERRUPTED, True
        delivered = await self._delivered_bytes(request, examine.started.started_at_ms)
        ending.tokens = estimate(prompt_bytes=request.prompt_bytes, delivered_bytes=delivered)
        await self._end(examine.route, ending, examine.traceparent)

    async def _delivered_bytes(self, request: RequestAccepted, since_ms: int) -> int:
        partitions = [request.reply_to.partition]
        while True:
            try:
                return sum(
                    [
                        _chunk_bytes(raw)
                        async for raw in read_to_end(
                            self._bus, topics.REPLIES, partitions=partitions, since_ms=since_ms - 1
                        )
                        if header(raw.headers, names.SUBJECT) == request.request_id
                    ]
                )
            except KafkaError as error:
                log.warning("replies are read again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    # Actions.

    async def _act(self, action: Action) -> None:
        if isinstance(action, Run):
            await self._room.acquire()
            self._spawn(self._run(action))
        elif isinstance(action, Reject):
            self._spawn(self._end(action.route, rejected(action.route), action.traceparent))
        elif isinstance(action, Fail):
            refusal = Refusal(status=500, message=f"Nothing was sent to a provider: {action.reason}. Try again.")
            self._spawn(self._end(action.route, failed(refusal, attempts=0), action.traceparent))
        elif isinstance(action, Retell):
            self._spawn(self._tell(action.ended, action.traceparent))
        else:
            self._examined[action.route.request_id] = (action, action.started.started_at_ms - 1)

    async def _run(self, action: Run) -> None:
        route, request_id = action.route, action.route.request_id
        step = Step("relay answer", action.traceparent, attributes={"sluice.request.id": request_id})
        try:
            stream = ReplyStream(self._producer, route.request, route.windows, step.traceparent)
            attempt = Attempt(
                route,
                action.prompt,
                stream,
                grants=self._grants,
                upstreams=self._upstreams,
                tally=self._tally,
                catalog=self._catalog,
                timeouts=self._timeouts,
                traceparent=step.traceparent,
            )
            self._running[request_id] = attempt
            if request_id in self._cancelled:
                ending = Ending(Outcome.CANCELLED, status=499, attempts=0)
            else:
                await self._say_started(route, step.traceparent)
                ending = await attempt.run()
            step.note(
                {
                    "sluice.outcome": ending.outcome.value,
                    "sluice.attempts": ending.attempts,
                    "sluice.tried": ", ".join(ending.tried),
                }
            )
            step.end(None if ending.refusal is None else str(ending.refusal.status))
            await self._end(route, ending, step.traceparent)
            # In the step in which it was settled: a route that comes again is not to be adopted by what has ended.
            del self._running[request_id]
            used = self._own_keys.used(route, ending, now_ms())
            if used:
                name = used.credential_id
                await self._put_until_there(topics.CREDENTIAL_USES, used, name, name, step.traceparent)
        finally:
            self._running.pop(request_id, None)
            self._room.release()

    async def _say_started(self, route: RoutePlanned, traceparent: str) -> None:
        started = AttemptStarted(
            request_id=route.request_id,
            provider_id=route.provider_id,
            relay_id=self._relay_id,
            started_at_ms=now_ms(),
        )
        await self._put_until_there(topics.ATTEMPTS, started, route.request_id, route.request_id, traceparent)

    async def _end(self, route: RoutePlanned | RequestRejected, ending: Ending, traceparent: str) -> None:
        ended = tell(route, ending, now_ms())
        await self._put_until_there(topics.ATTEMPTS, ended, ended.request_id, ended.request_id, traceparent)
        await self._tell(ended, traceparent)

    async def _tell(self, ended: AttemptEnded, traceparent: str) -> None:
        await asyncio.gather(
            self._put_until_there(topics.USAGE, ended.usage, ended.usage.subject, ended.request_id, traceparent),
            self._put_until_there(
                topics.REPLIES,
                ended.reply,
                ended.request_id,
                ended.request_id,
                traceparent,
                partition=ended.reply_to.partition,
            ),
        )
        for place in self._intake.settled(ended.request_id, now_ms()):
            self.consumer.release(place)

    async def _put_until_there(
        self,
        topic: topics.Topic,
        record: Record,
        key: str,
        request_id: RequestId,
        traceparent: str,
        partition: int | None = None,
    ) -> None:
        while True:
            try:
                sent = await self._producer.send(
                    topic,
                    record,
                    key=key,
                    event_id=f"{request_id}/{type(record).__name__}",
                    subject=request_id,
                    traceparent=traceparent,
                    partition=partition,
                )
                await settle([sent])
                return
            except KafkaError as error:
                log.warning("told again", what=type(record).__name__, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _answer_unknown(self, request_id: RequestId, reply_to: ReplyAddress, traceparent: str) -> None:
        ended = ReplyEnded(
            request_id=request_id,
            ingress_id=reply_to.ingress_id,
            outcome=Outcome.FAILED,
            status=BROKEN.status,
            refusal=BROKEN,
        )
        await self._put_until_there(
            topics.REPLIES, ended, request_id, request_id, traceparent, partition=reply_to.partition
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            # The records stay in work, so the next owner of the partition tries again.
            log.error("attempt left unfinished", error=repr(error)[:300])


def _chunk_bytes(raw: "ConsumerRecord[Any, Any]") -> int:
    try:
        record = parse(raw).record
    except PoisonError:
        return 0
    return delivered_bytes(record.data) if isinstance(record, ReplyChunk) else 0
