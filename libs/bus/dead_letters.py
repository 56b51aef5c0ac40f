"""The dead-letter queues: where records go that cannot be decoded or handled, with the reason."""

import asyncio

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts import headers as names
from libs.bus.producer import Producer, settle
from libs.bus.records import DeadLetter, Raw, dead_letter
from libs.runtime.background import Tasks

log = structlog.get_logger()

RETRY_S = 0.1


class DeadLetters:
    """Writes to ``<topic>.dlq``: the record as it came, and headers that say why, where from and by whom."""

    def __init__(self, producer: Producer, reader: str) -> None:
        """
        Args:
            reader: the consumer group, or the service, that could not handle it.
        """
        self._producer = producer
        self._reader = reader
        self._tasks = Tasks("dead letters")

    async def write(self, raw: Raw, reason: str) -> DeadLetter:
        """Returns what is known of the record once the queue has it; waits for the broker as long as it takes.

        A record that is too large even there is written without its value.
        """
        log.error("dead letter", topic=raw.topic, partition=raw.partition, offset=raw.offset, reason=reason)
        letter = dead_letter(raw, reason)
        headers = [
            *raw.headers,
            (names.DLQ_REASON, reason.encode()),
            (names.DLQ_TOPIC, raw.topic.encode()),
            (names.DLQ_PARTITION, str(raw.partition).encode()),
            (names.DLQ_OFFSET, str(raw.offset).encode()),
            (names.DLQ_GROUP, self._reader.encode()),
        ]
        value = raw.value
        while True:
            try:
                await settle([await self._producer.dead_letter(letter.topic, raw.key, value, headers)])
                return letter
            except MessageSizeTooLargeError:
                if value is None:
                    log.error("dead letter cannot be written", topic=raw.topic, offset=raw.offset)
                    return letter
                value = None
            except KafkaError as error:
                log.warning("dead letter is written again", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)

    def write_soon(self, raw: Raw, reason: str) -> DeadLetter:
        """The same for callers that cannot wait."""

        async def write() -> None:
            await self.write(raw, reason)

        self._tasks.spawn(write())
        return dead_letter(raw, reason)
