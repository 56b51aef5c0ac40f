"""The dead-letter queues: where records go that cannot be read or handled, with the reason."""

import asyncio
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from contracts import headers as names
from contracts.record import Record
from libs.bus.producer import Producer, settle
from libs.bus.received import Poison, PoisonError, parse, poison

log = structlog.get_logger()

RETRY_S = 0.1


class DeadLetters:
    """Writes to ``<topic>.dlq``: the record as it came, and headers that say why, where from and for whom."""

    def __init__(self, producer: Producer, reader: str) -> None:
        """
        Args:
            reader: the consumer group, or the service, that could not read it.
        """
        self._producer = producer
        self._reader = reader
        self._background: set[asyncio.Task[Poison]] = set()

    async def bury(self, raw: "ConsumerRecord[Any, Any]", reason: str) -> Poison:
        """Returns what is known of the record, once the queue has it; waits for the broker as long as it takes."""
        log.error("dead letter", topic=raw.topic, partition=raw.partition, offset=raw.offset, reason=reason)
        found = poison(raw, reason)
        headers = [
            *raw.headers,
            (names.DLQ_REASON, reason.encode()),
            (names.DLQ_TOPIC, raw.topic.encode()),
            (names.DLQ_PARTITION, str(raw.partition).encode()),
            (names.DLQ_OFFSET, str(raw.offset).encode()),
            (names.DLQ_GROUP, self._reader.encode()),
        ]
        while True:
            try:
                letter = await self._producer.send_raw(
                    found.topic.dead_letters, raw.value, key=raw.key, headers=headers
                )
                await settle([letter])
                return found
            except KafkaError as error:
                log.warning("dead letter is tried again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    def read(self, raw: "ConsumerRecord[Any, Any]") -> Record | None:
        """A record, from where nothing can be awaited; None for one that cannot be read, which is buried meanwhile."""
        try:
            return parse(raw).record
        except PoisonError as error:
            task = asyncio.create_task(self.bury(raw, str(error)))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
            return None
