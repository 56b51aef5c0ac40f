"""One assignment's records on their way through its processor.

- **Processing.** Records are decoded and given to the processor in batches, in order within a partition. When it
  returns and the broker has what it published, they are finished, but for those that it holds.
- **Poison.** A record that cannot be decoded or believed, or on which the processor fails when it has it alone, goes to
  ``<topic>.dlq`` with the reason. The others go on.
- **Trouble elsewhere.** On `RetryLater` or KafkaError the same batch comes again after a pause; a record of which
  something too large for its topic was published is poison.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts.record import Record
from libs.bus.dead_letters import DeadLetters
from libs.bus.processor import Processor, RetryLater, Work
from libs.bus.records import PoisonError, Raw, Received, decode
from libs.bus.signing import Trust
from libs.telemetry.logs import where

log = structlog.get_logger()

R = TypeVar("R", bound=Record)

RETRY_FIRST_S = 0.1
RETRY_MOST_S = 5.0


class _Abandoned(Exception):
    """The partitions are going, or the service stops; whoever owns them next receives the batch again."""


class Turn(Generic[R]):
    """One assignment, from the end of its loading to its revocation. One call at a time."""

    def __init__(
        self, group: str, processor: Processor[R], work: Work, dead_letters: DeadLetters, trust: Trust
    ) -> None:
        self.processor = processor
        self.work = work
        self.ending = False
        """Somebody waits for the batch in work to end it."""
        self._group = group
        self._dead_letters = dead_letters
        self._trust = trust

    async def process(self, raws: Sequence[Raw]) -> None:
        """Processes what was fetched. It may raise: then nothing of it is finished."""
        batch: list[tuple[Raw, Received[R]]] = []
        for raw in raws:
            try:
                batch.append((raw, decode(raw, self._trust)))  # type: ignore[arg-type]
            except PoisonError as error:
                await self._dead_letter(raw, str(error))
        try:
            await self._process_all(batch)
        except _Abandoned:
            return
        self.work.passed((TopicPartition(raw.topic, raw.partition), raw.offset) for raw in raws)

    async def _process_all(self, batch: Sequence[tuple[Raw, Received[R]]]) -> None:
        try:
            await self._process_patiently([received for _, received in batch])
        except _Abandoned:
            raise
        except Exception as error:
            log.warning("a batch failed; its records one by one", group=self._group, error=type(error).__name__)
            for raw, received in batch:
                try:
                    await self._process_patiently([received])
                except _Abandoned:
                    raise
                except Exception as one_error:
                    log.error("record cannot be processed", group=self._group, topic=raw.topic, **where(one_error))
                    await self._dead_letter(raw, f"handler failed: {type(one_error).__name__}")

    async def _process_patiently(self, batch: list[Received[R]]) -> None:
        pause_s = RETRY_FIRST_S
        while batch:
            try:
                await self.processor.process(batch)
                await self.work.settle()
                return
            except MessageSizeTooLargeError:
                # It would be too large again.
                raise
            except (RetryLater, KafkaError) as error:
                log.warning("waiting", group=self._group, what=str(error)[:200], pause_s=pause_s)
                if self.ending:
                    raise _Abandoned from None
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_MOST_S)

    async def _dead_letter(self, raw: Raw, reason: str) -> None:
        letter = await self._dead_letters.write(raw, reason)
        while True:
            try:
                await self.processor.on_dead_letter(letter)
                await self.work.settle()
                return
            except (KafkaError, RetryLater) as error:
                if isinstance(error, MessageSizeTooLargeError) or self.ending:
                    log.error("the client of a dead letter is not answered", group=self._group)
                    return
                log.warning("waiting", group=self._group, what=type(error).__name__)
                await asyncio.sleep(RETRY_FIRST_S)
            except Exception as error:
                log.error("the client of a dead letter is not answered", group=self._group, **where(error))
                return
