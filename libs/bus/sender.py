"""Produce requests for aiokafka's producers, in place of its own sender; batches and sequence numbers stay its own.

aiokafka's needs a task and an `asyncio.wait` for each request. Here the first record of a batch rings for the next turn
of the event loop, in which all that waits is written, and an answer is read where it arrives. A task is only there for
what is rare: a broker that is away, a batch that is tried again.

One request at a time is on its way to each broker, and one batch of each partition: so records keep their order.
What comes meanwhile goes with the next. And a broker is left alone after each answer for as long as that has taken:
where nothing else is to do that is a moment, and under load requests are fewer and fuller (ADR 58).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    NoError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.producer import producer as aiokafka_producer
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import Sender

from libs.bus.connections import ANSWER_WITHIN_S
from libs.bus.frames import ask, connection_to, speaks
from libs.bus.messages import PRODUCE, Written, decode_written, encode_produce
from libs.runtime.background import Tasks
from libs.runtime.silence import SilenceTimer

log = structlog.get_logger()

MOST_REST_S = 0.02
"""After one request, before the next."""

Batches = dict[TopicPartition, MessageBatch]


class _Bell:
    """In the place of the future that aiokafka's accumulator resolves when there is something to send."""

    __slots__ = ("_ring", "rung")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self.rung = False

    def done(self) -> bool:
        return self.rung

    def set_result(self, _: None) -> None:
        self.rung = True
        self._ring()


class DirectSender(Sender):  # type: ignore[misc]
    """See above. Made by `AIOKafkaProducer`, with its arguments."""

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self._is_for_others = self._acks == 0 or bool(self._txn_manager and self._txn_manager.transactional_id)
        """Transactions, and records of which nobody wants to know whether they are there: aiokafka's way."""
        self._loop = client._loop
        self._rests_until_s: dict[int, float] = {}
        """By broker; see `MOST_REST_S`."""
        self._bell = _Bell(self._ring)
        self._timer: asyncio.TimerHandle | None = None
        """It is tried again then."""
        self._tasks = Tasks("send")
        self._is_finding_leaders = False

    async def _sender_routine(self) -> None:
        """The task that `start` makes when the producer has its ID, and `close` cancels when all is sent."""
        if self._is_for_others:
            await super()._sender_routine()
            return
        self._message_accumulator._waiter_future = self._bell
        self._ring()
        try:
            await self._loop.create_future()
        except asyncio.CancelledError:
            if self._timer:
                self._timer.cancel()
            await self._tasks.wait()

    def _ring(self) -> None:
        self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Sends what waits and may go."""
        self._bell.rung = False
        if not self._message_accumulator._batches:
            return
        for node_id, batches in self._drained().items():
            self._in_flight.add(node_id)
            self._muted_partitions.update(batches)
            connection = connection_to(self.client, node_id)
            if connection is None:
                self._tasks.spawn(self._connect(node_id, batches))
            else:
                self._write(connection, node_id, batches)

    def _pump_in(self, pause_s: float) -> None:
        def now() -> None:
            self._timer = None
            self._pump()

        if self._timer is None:
            self._timer = self._loop.call_later(pause_s, now)

    def _drained(self) -> dict[int, Batches]:
        """By broker, the first batch of each partition that nothing is on its way to."""
        accumulator = self._message_accumulator
        now_s = time.monotonic()
        found: dict[int, Batches] = {}
        resting_s: list[float] = []
        leaderless = False
        for partition in list(accumulator._batches):
            if partition in self._muted_partitions:
                continue
            leader = accumulator._cluster.leader_for_partition(partition)
            if leader is None or leader == -1:
                leaderless = True
                if accumulator._batches[partition][0].expired():
                    accumulator._pop_batch(partition).failure(LeaderNotAvailableError())
            elif leader in self._in_flight:
                continue
            elif (rest_s := self._rests_until_s.get(leader, 0.0) - now_s) > 0:
                resting_s.append(rest_s)
            else:
                batch = accumulator._pop_batch(partition)
                if batch.is_empty():
                    batch.done_noack()
                else:
                    found.setdefault(leader, {})[partition] = batch
        if resting_s:
            self._pump_in(min(resting_s))
        if leaderless and not self._is_finding_leaders:
            self._is_finding_leaders = True
            self._tasks.spawn(self._find_leaders())
        return found

    async def _find_leaders(self) -> None:
        try:
            await asyncio.sleep(self._retry_backoff)
            await self.client.force_metadata_update()
        finally:
            self._is_finding_leaders = False
        self._pump()

    async def _connect(self, node_id: int, batches: Batches) -> None:
        await self.client.ready(node_id)
        connection = connection_to(self.client, node_id)
        if connection is None:
            self._failed(node_id, batches, NodeNotReadyError(f"broker {node_id} cannot be reached"))
            return
        try:
            speaks(connection, PRODUCE)
        except KafkaError as error:
            self._failed(node_id, batches, error)
        else:
            self._write(connection, node_id, batches)

    def _write(self, connection: AIOKafkaConnection, node_id: int, batches: Batches) -> None:
        body = encode_produce(
            ((partition, batch.get_data_buffer()) for partition, batch in batches.items()),
            acks=self._acks,
            within_ms=self._request_timeout_ms,
        )
        silence = SilenceTimer(lambda: connection.close(CloseReason.CONNECTION_TIMEOUT))
        silence.allow(ANSWER_WITHIN_S)
        began_s = time.monotonic()

        def answered(frame: bytes) -> None:
            written = decode_written(frame)
            silence.stop()
            now_s = time.monotonic()
            self._rests_until_s[node_id] = now_s + min(now_s - began_s, MOST_REST_S)
            self._answered(node_id, batches, written)

        def failed(error: BaseException) -> None:
            silence.stop()
            self._failed(node_id, batches, error)

        try:
            ask(connection, PRODUCE, body, answered, failed)
        except KafkaError as error:
            failed(error)

    def _answered(self, node_id: int, batches: Batches, written: list[Written]) -> None:
        again = dict(batches)
        for partition, error_code, offset, timestamp, log_start in written:
            batch = again.get(partition)
            error = for_code(error_code)
            # A sequence number that is there already: the batch is, only its offset is not known any more.
            if batch and error in (NoError, DuplicateSequenceNumber):
                del again[partition]
                batch.done(offset, timestamp, log_start)
            elif batch and not self._is_to_retry(partition, batch, _for_producers(error, partition.topic)):
                del again[partition]
        self._release(node_id, batches, again)

    def _failed(self, node_id: int, batches: Batches, error: BaseException) -> None:
        if not isinstance(error, KafkaError):
            error = KafkaConnectionError(f"an answer that cannot be read: {type(error).__name__}")
        again = {partition: batch for partition, batch in batches.items() if self._is_to_retry(partition, batch, error)}
        self._release(node_id, batches, again)

    def _is_to_retry(self, partition: TopicPartition, batch: MessageBatch, error: KafkaError) -> bool:
        """Otherwise those who wait for the batch have the error."""
        if error.invalid_metadata:
            self.client.force_metadata_update()
        # An idempotent producer tries until it succeeds: nothing of it is there twice.
        if error.retriable and (self._txn_manager or not batch.expired()):
            log.warning("a batch is sent again", topic=partition.topic, error=type(error).__name__)
            return True
        batch.failure(error)
        return False

    def _release(self, node_id: int, batches: Batches, again: Batches) -> None:
        if again:
            self._tasks.spawn(self._retry(node_id, batches, again))
            return
        self._in_flight.discard(node_id)
        self._muted_partitions.difference_update(batches)
        # Those who waited for this publish more in the next turn.
        self._loop.call_soon(self._ring)

    async def _retry(self, node_id: int, batches: Batches, again: Batches) -> None:
        """They are the first of their partitions once more; until then nothing else goes there."""
        await asyncio.sleep(self._retry_backoff)
        for batch in again.values():
            self._message_accumulator.reenqueue(batch)
        await self.client._maybe_wait_metadata()
        self._release(node_id, batches, {})


def _for_producers(error: type[KafkaError], topic: str) -> KafkaError:
    if error is InvalidProducerEpoch:
        return ProducerFenced()
    return error(topic) if error is TopicAuthorizationFailedError else error()


def send_directly() -> None:
    """From now on this process's producers send so."""
    aiokafka_producer.Sender = DirectSender
