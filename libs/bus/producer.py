"""The one way to say something on the log."""

import asyncio
import contextlib
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from contracts.headers import Headers, event_headers
from contracts.record import Record
from contracts.topics import Topic
from libs.bus.settings import BusSettings

log = structlog.get_logger()

Acknowledgement = asyncio.Future[Any]
_PARTITIONER = DefaultPartitioner()


class Producer:
    """Publishes records with CloudEvents and trace headers.

    `send` only queues: await the future it returns, or `settle` a list of them, to know that the broker has the
    record. Records of one partition keep their order.
    """

    def __init__(self, settings: BusSettings, source: str) -> None:
        self._source = f"/services/{source}"
        self._kafka = AIOKafkaProducer(
            client_id=f"sluice-{source}",
            request_timeout_ms=20_000,
            metadata_max_age_ms=60_000,
            **settings.connection(),
            **settings.producing(),
        )

    async def start(self) -> None:
        """Connects. Raises KafkaError where no broker answers."""
        await self._kafka.start()

    async def prepare(self, *topics: Topic) -> None:
        """Learns where topics are before the first record has to wait for it; does without where that fails."""
        with contextlib.suppress(KafkaError):
            for topic in topics:
                await self._kafka.partitions_for(topic.name)

    async def partition_for(self, topic: Topic, key: str) -> int:
        """Where a record of this key lies, for another that is to lie with it. Raises KafkaError."""
        partitions = sorted(await self._kafka.partitions_for(topic.name))
        chosen: int = _PARTITIONER(key.encode(), partitions, partitions)
        return chosen

    async def stop(self) -> None:
        """Sends what is queued, then closes."""
        await self._kafka.stop()

    async def send(
        self,
        topic: Topic,
        record: Record,
        *,
        key: str,
        event_id: str,
        subject: str,
        traceparent: str,
        reply_to: str | None = None,
        partition: int | None = None,
    ) -> Acknowledgement:
        """Queues one record; waits only while the partition's buffer is full."""
        kind = type(record)
        headers = event_headers(
            type_name=kind.__name__,
            event_id=event_id,
            source=self._source,
            subject=subject,
            traceparent=traceparent,
            reply_to=reply_to,
        )
        value = kind.__pydantic_serializer__.to_json(record, exclude_defaults=True)
        return await self.send_raw(topic.name, value, key=key.encode(), headers=headers, partition=partition)

    async def send_raw(
        self, topic: str, value: bytes | None, *, key: bytes | None, headers: Headers, partition: int | None = None
    ) -> Acknowledgement:
        """Queues bytes that are a record already: a prompt as it came, a dead letter, a tombstone."""
        acknowledgement: Acknowledgement = await self._kafka.send(
            topic, value, key=key, headers=headers, partition=partition
        )
        return acknowledgement


async def settle(acknowledgements: list[Acknowledgement]) -> None:
    """Waits until the broker has all of these records.

    Raises:
        KafkaError: it will not have one of them; the others may be there.
    """
    failure: BaseException | None = None
    for acknowledgement in acknowledgements:
        try:
            await acknowledgement
        except KafkaError as error:
            failure = error
    if failure is not None:
        raise failure
