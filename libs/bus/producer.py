"""The one way to publish."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from contracts.headers import Headers, event_headers
from contracts.record import Record
from contracts.services import ServiceSpec
from contracts.topic import Topic
from libs.bus.settings import BusSettings

log = structlog.get_logger()

R = TypeVar("R", bound=Record)
Acknowledgement = asyncio.Future[Any]
_PARTITIONER = DefaultPartitioner()
RETRY_S = 0.2


class Producer:
    """Publishes what its service may write, with CloudEvents and trace headers.

    `publish` only queues: await the future that it returns, or `settle` several, to know that the broker has the
    record. Records of one partition keep their order, and none is there twice (idempotent producer).
    """

    def __init__(self, settings: BusSettings, spec: ServiceSpec) -> None:
        self._settings = settings
        self._source = f"/services/{spec.name}"
        self._writes = frozenset(spec.writes)
        self._kafka = AIOKafkaProducer(
            client_id=f"sluice-{spec.name}",
            request_timeout_ms=20_000,
            metadata_max_age_ms=60_000,
            **settings.connection(),
            **settings.producing(),
        )

    async def start(self) -> None:
        """Connects, and learns where its topics are before the first record has to wait for it.

        Raises:
            KafkaError: no broker answers.
        """
        await self._kafka.start()
        with contextlib.suppress(KafkaError):
            for topic in self._writes:
                await self._kafka.partitions_for(topic.name)

    async def stop(self) -> None:
        """Sends what is queued, then closes."""
        await self._kafka.stop()

    async def publish(self, topic: Topic[R], record: R, trace: str = "") -> Acknowledgement:
        """Queues one record; waits only while the partition's buffer is full.

        Args:
            trace: the W3C ``traceparent`` of the step that publishes.

        Raises:
            PermissionError: the service's `ServiceSpec` does not list the topic.
            KafkaError: the record is too large, or the broker is away for too long.
        """
        headers = event_headers(
            type_name=type(record).__name__,
            event_id=record.event_id,
            source=self._source,
            subject=record.event_subject,
            traceparent=trace,
            reply_to=topic.reply_to(record).encode() if topic.reply_to else None,
        )
        return await self._send(topic, record.encode(), topic.key(record), headers, self._partition(topic, record))

    async def publish_until_acknowledged(self, topic: Topic[R], record: R, trace: str = "") -> None:
        """Returns when the broker has the record, however long it is away. The record may be there twice."""
        while True:
            try:
                await settle([await self.publish(topic, record, trace)])
                return
            except KafkaError as error:
                log.warning("published again", record=type(record).__name__, error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def delete(self, topic: Topic[Any], key: str) -> Acknowledgement:
        """Queues the deletion of a key of a compacted topic, which must lie by its key."""
        return await self._send(topic, None, key, [], None)

    async def dead_letter(
        self, topic: Topic[Any], key: bytes | None, value: bytes | None, headers: Headers
    ) -> Acknowledgement:
        """Queues a record as it came for the topic's dead-letter queue."""
        acknowledgement: Acknowledgement = await self._kafka.send(topic.dead_letters, value, key=key, headers=headers)
        return acknowledgement

    def _partition(self, topic: Topic[R], record: R) -> int | None:
        if topic.partition:
            return topic.partition(record)
        if topic.partition_by:
            numbers = list(range(self._settings.partitions_of(topic)))
            chosen: int = _PARTITIONER(topic.partition_by(record).encode(), numbers, numbers)
            return chosen
        return None

    async def _send(
        self, topic: Topic[Any], value: bytes | None, key: str, headers: Headers, partition: int | None
    ) -> Acknowledgement:
        if topic not in self._writes:
            raise PermissionError(f"{self._source} may not write {topic.name}: its ServiceSpec does not list it")
        acknowledgement: Acknowledgement = await self._kafka.send(
            topic.name, value, key=key.encode(), headers=headers, partition=partition
        )
        return acknowledgement


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
