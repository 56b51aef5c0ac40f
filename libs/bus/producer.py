"""The one way to publish."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)

from contracts.headers import RETRIED_FOR, TYPE, Headers, event_headers
from contracts.record import Record
from contracts.services import ServiceSpec
from contracts.topic import Topic
from contracts.topics import BY_NAME
from libs.bus.placing import partition_of, partition_of_record
from libs.bus.records import Raw
from libs.bus.settings import BusSettings
from libs.bus.signing import Signer
from libs.runtime.background import Repeated
from libs.telemetry.instruments import SENT

log = structlog.get_logger()

R = TypeVar("R", bound=Record)
Acknowledgement = asyncio.Future[Any]
RETRY_S = 0.2
CHECK_EVERY_S = 1.0
CLOSE_WITHIN_S = 5.0
_SEQUENCE_ERRORS = (OutOfOrderSequenceNumber, DuplicateSequenceNumber, InvalidProducerEpoch, ProducerFenced)
_OVERHEAD_BYTES = 61 + 50
"""Of a batch, and of a record in it, at the most (Kafka's record batch, version 2); the broker bounds the batch."""
_HEADER_BYTES = 10


class _Placed(NamedTuple):
    """A record as it is queued."""

    topic: str
    most_bytes: int
    """Its topic takes no larger ones."""
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int


class Producer:
    """Publishes what its service may write, with CloudEvents and trace headers.

    `publish` only queues: await the future that it returns, or `settle` several, to know that the broker has the
    record. Records of one partition keep their order, and none is there twice (idempotent producer). While the broker
    is away they wait.

    A record that the broker refuses costs an idempotent producer a number of its sequence, and all that follow in that
    partition are refused for it. So what is too large is refused here; and should a sequence break all the same, the
    client is replaced.
    """

    def __init__(self, settings: BusSettings, spec: ServiceSpec, signer: Signer | None = None) -> None:
        """
        Args:
            signer: for topics that name this service as theirs.
        """
        self.signer = signer
        self._settings = settings
        self._source = f"/services/{spec.name}"
        self._client_id = f"sluice-{spec.name}"
        self._writes = frozenset(spec.writes)
        self._republishes = frozenset(spec.republishes)
        self._kafka = self._new_client()
        self._broken = False
        self.background = Repeated("keep the producer usable", self._replace_if_broken, every_s=CHECK_EVERY_S)

    async def start(self) -> None:
        """Connects, and learns where its topics are before the first record has to wait for it.

        Raises:
            KafkaError: no broker answers.
        """
        await self._kafka.start()
        with contextlib.suppress(KafkaError):
            for topic in self._writes:
                await self._kafka.partitions_for(topic.name)
        await self.background.start()

    async def stop(self) -> None:
        """Sends what is queued, then closes; gives up where the broker is away."""
        await self.background.stop()
        await _close(self._kafka)

    def _new_client(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            client_id=self._client_id,
            request_timeout_ms=20_000,
            metadata_max_age_ms=60_000,
            **self._settings.connection(),
            **self._settings.producing(),
        )

    async def _replace_if_broken(self) -> None:
        if not self._broken and not self._kafka._sender.sender_task.done():
            return
        log.error("the producer's sequence is broken; it is replaced", client=self._client_id)
        client = self._new_client()
        await client.start()
        old, self._kafka, self._broken = self._kafka, client, False
        await _close(old)

    def _acknowledged(self, acknowledgement: Acknowledgement) -> None:
        if not acknowledgement.cancelled() and isinstance(acknowledgement.exception(), _SEQUENCE_ERRORS):
            self._broken = True
            self.background.wake()

    async def publish(self, topic: Topic[R], record: R, trace: str = "", *, newer_than: int = 0) -> Acknowledgement:
        """Queues one record; waits only while the partition's buffer is full.

        Args:
            trace: the W3C ``traceparent`` of the step that publishes.
            newer_than: on signed topics, the version that is on the log; see `Signer.headers`.

        Raises:
            PermissionError: the service's `ServiceSpec` does not list the topic, or it has no key to sign with.
            MessageSizeTooLargeError: the record is larger than its topic takes; it was not sent.
            KafkaError: the partition's buffer stays full.
        """
        return await self._queue(self._placed(topic, record, trace, newer_than))

    def publish_if_room(self, topic: Topic[R], record: R, trace: str = "") -> Acknowledgement | None:
        """The same without waiting: None, and nothing is queued, where `publish` might. Raises as it does."""
        return self._join(self._placed(topic, record, trace, 0))

    def _placed(self, topic: Topic[R], record: R, trace: str, newer_than: int) -> _Placed:
        headers = event_headers(
            type_name=type(record).__name__,
            event_id=record.event_id,
            source=self._source,
            subject=record.event_subject,
            media_type=record.media_type,
            traceparent=trace,
            reply_to=topic.reply_to(record).encode() if topic.reply_to else None,
        )
        headers += record.own_headers
        key = topic.key(record)
        partition = partition_of_record(self._settings, topic, record, key)
        return self._allowed(topic, record.encode(), key, headers, partition, newer_than)

    async def publish_until_acknowledged(self, topic: Topic[R], record: R, trace: str = "") -> None:
        """Returns when the broker has the record, however long it is away. The record may be there twice.

        Raises:
            MessageSizeTooLargeError: see `publish`.
        """
        await self.publish_all_until_acknowledged([(topic, record)], trace)

    async def publish_all_until_acknowledged(
        self, records: Iterable[tuple[Topic[Any], Record]], trace: str = ""
    ) -> None:
        """The same of several, which are under way together."""
        left = list(records)
        while left:
            tried, failed = [], []
            for one in left:
                try:
                    tried.append((one, await self.publish(*one, trace)))
                except KafkaError as error:
                    failed.append(_to_try_again(one, error))
            for one, acknowledgement in tried:
                try:
                    await acknowledgement
                except KafkaError as error:
                    failed.append(_to_try_again(one, error))
            left = failed
            if left:
                await asyncio.sleep(RETRY_S)

    async def delete(self, topic: Topic[Any], key: str, *, newer_than: int = 0) -> Acknowledgement:
        """Queues the deletion of a key of a compacted topic, which must lie by its key. Raises as `publish` does."""
        partition = partition_of(self._settings, topic, key)
        return await self._queue(self._allowed(topic, None, key, [], partition, newer_than))

    async def dead_letter(
        self, topic: Topic[Any], key: bytes | None, value: bytes | None, headers: Headers
    ) -> Acknowledgement:
        """Queues a record as it came for the topic's dead-letter queue. Raises as `publish` does."""
        return await self._queue(_Placed(topic.dead_letters, topic.dead_letter_bytes, key, value, headers, 0))

    async def republish(self, raw: Raw, readers: Sequence[str]) -> Acknowledgement:
        """Queues a record as it lies on its topic once more, in its partition, signature included. For operators.

        Args:
            readers: whose dead letter it was.

        Raises:
            PermissionError: the service's `ServiceSpec` does not list the topic under ``republishes``.
        """
        topic = BY_NAME[raw.topic]
        if topic not in self._republishes:
            raise PermissionError(f"{self._source} may not publish records of {topic.name} again")
        headers = [one for one in raw.headers if one[0] != RETRIED_FOR]
        headers.append((RETRIED_FOR, ",".join(readers).encode()))
        placed = _Placed(topic.name, topic.max_record_bytes, raw.key, raw.value, headers, raw.partition)
        return await self._queue(placed)

    def _allowed(
        self,
        topic: Topic[Any],
        value: bytes | None,
        key: str,
        headers: Headers,
        partition: int,
        newer_than: int,
    ) -> _Placed:
        if topic not in self._writes:
            raise PermissionError(f"{self._source} may not write {topic.name}: its ServiceSpec does not list it")
        if topic.signed_by is not None:
            if self.signer is None:
                raise PermissionError(f"{self._source} cannot sign for {topic.name}: set SLUICE_RECORD_KEY")
            type_name = b"" if value is None else dict(headers)[TYPE]
            headers += self.signer.headers(topic.name, key.encode(), type_name, value, newer_than=newer_than)
        return _Placed(topic.name, topic.max_record_bytes, key.encode(), value, headers, partition)

    async def _queue(self, record: _Placed) -> Acknowledgement:
        acknowledgement = self._join(record)
        if acknowledgement is None:
            name, _, key, value, headers, partition = record
            acknowledgement = await self._kafka.send(name, value, key=key, headers=headers, partition=partition)
            acknowledgement.add_done_callback(self._acknowledged)
            SENT.add(1, name)
        return acknowledgement

    def _join(self, record: _Placed) -> Acknowledgement | None:
        name, most_bytes, key, value, headers, _ = record
        size = _OVERHEAD_BYTES + len(key or b"") + len(value or b"")
        for header, content in headers:
            size += len(header) + len(content or b"") + _HEADER_BYTES
        if size > most_bytes:
            raise MessageSizeTooLargeError(f"a record of {size} bytes for {name}, which takes {most_bytes}")
        acknowledgement = self._join_batch(record)
        if acknowledgement is not None:
            SENT.add(1, name)
        return acknowledgement

    def _join_batch(self, record: _Placed) -> Acknowledgement | None:
        """Adds a record to the batch that waits for its partition, or begins one. None where that has no room, or the
        partition is not known yet.

        `AIOKafkaProducer.send` comes to the same in three times as long. That a batch fails is known by its first
        record's acknowledgement.
        """
        accumulator = self._kafka._message_accumulator
        if accumulator._closed or accumulator._exception:
            return None
        waiting = accumulator._batches.get((record.topic, record.partition))
        if waiting:
            batch = waiting[-1]
        else:
            place = TopicPartition(record.topic, record.partition)
            if accumulator._cluster.leader_for_partition(place) is None:
                return None
            batch = accumulator._append_batch(accumulator.create_builder(), place)
        found: Acknowledgement | None = batch.append(
            record.key, record.value, None, accumulator._loop.create_future, record.headers
        )
        if found and not waiting:
            found.add_done_callback(self._acknowledged)
        return found


async def _close(client: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await client.stop()


def _to_try_again(one: tuple[Topic[Any], Record], error: KafkaError) -> tuple[Topic[Any], Record]:
    if isinstance(error, MessageSizeTooLargeError):
        raise error
    log.warning("published again", record=type(one[1]).__name__, error=type(error).__name__)
    return one


async def settle(acknowledgements: Iterable[Acknowledgement]) -> None:
    """Waits until the broker has all of these records.

    Raises:
        KafkaError: it will not have one of them; the others may be there.
    """
    failure: KafkaError | None = None
    for acknowledgement in acknowledgements:
        try:
            await acknowledgement
        except KafkaError as error:
            failure = error
    if failure is not None:
        raise failure
