"""The dead-letter queues: where records go that cannot be decoded or handled, with the reason."""

import asyncio
import time
from collections import deque

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts import headers as names
from libs.bus.producer import Producer, settle
from libs.bus.records import DeadLetter, Raw, dead_letter
from libs.runtime.background import Tasks
from libs.telemetry.instruments import DEAD_LETTERS

log = structlog.get_logger()

RETRY_S = 0.1


class AlarmSettings(BaseSettings):
    """Environment variables ``SLUICE_DEAD_LETTERS_*``: when a reader's dead letters are too many."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_DEAD_LETTERS_")

    alarm_at: int = Field(default=10, ge=1, le=100_000)
    """So many ..."""
    alarm_within_s: float = Field(default=3600.0, gt=0)
    """... within so long are a problem, until there are fewer again."""


class DeadLetters:
    """Writes to ``<topic>.dlq``: the record as it came, and headers that say why, where from and by whom."""

    def __init__(self, producer: Producer, reader: str, alarm: AlarmSettings | None = None) -> None:
        """
        Args:
            reader: the consumer group, or the service, that could not handle it.
            alarm: None: from the environment.
        """
        self.written = 0
        """In the life of this process."""
        self._producer = producer
        self._reader = reader
        self._alarm = alarm or AlarmSettings()
        self._times: deque[float] = deque(maxlen=self._alarm.alarm_at)
        self._tasks = Tasks("dead letters")

    @property
    def problem(self) -> str | None:
        """Why an operator should look; None where dead letters are few."""
        since_s = time.monotonic() - self._alarm.alarm_within_s
        if len(self._times) < self._alarm.alarm_at or self._times[0] < since_s:
            return None
        return (
            f"{self._alarm.alarm_at} or more dead letters within {self._alarm.alarm_within_s:.0f} s, {self.written} in "
            "all; see `./sluice dlq list`"
        )

    def _count(self) -> None:
        had_problem = self.problem
        self.written += 1
        self._times.append(time.monotonic())
        if self.problem and not had_problem:
            log.error("many dead letters", group=self._reader, problem=self.problem)

    async def write(self, raw: Raw, reason: str) -> DeadLetter:
        """Returns what is known of the record once the queue has it; waits for the broker as long as it takes.

        A record that is too large even there is written without its value.
        """
        DEAD_LETTERS.add(1, self._reader, raw.topic)
        log.error("dead letter", topic=raw.topic, partition=raw.partition, offset=raw.offset, reason=reason)
        self._count()
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
