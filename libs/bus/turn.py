"""One assignment's records on their way through its processor.

- **Processing.** Records are decoded and given to the processor in batches, in order within a partition. When it
  returns and the broker has what it published, they are finished, but for those that it holds.
- **Poison.** A record that cannot be decoded or believed, or on which the processor fails while it succeeds with
  others, goes to ``<topic>.dlq`` with the reason. The others go on.
- **A broken processor.** One that fails on one record after the other pauses: see `libs.bus.suspicion`. What it failed
  on is kept, uncommitted, and tried again, at longer and longer intervals.
- **Trouble elsewhere.** On `RetryLater` or KafkaError the same batch comes again after a pause; a record of which
  something too large for its topic was published is poison.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts.record import Record
from libs.bus.dead_letters import DeadLetters
from libs.bus.processor import Processor, RetryLater, Work
from libs.bus.records import PoisonError, Raw, Received, decode
from libs.bus.signing import Trust
from libs.bus.suspicion import Suspicion
from libs.telemetry.instruments import CONSUMED, PROCESS_DURATION
from libs.telemetry.logs import where

log = structlog.get_logger()

R = TypeVar("R", bound=Record)

RETRY_FIRST_S = 0.1
RETRY_MOST_S = 5.0
PAUSE_MOST_S = 30.0
MOST_KEPT = 500
MOST_KEPT_BYTES = 32 * 1024 * 1024
"""Of one topic while its processor is suspected; the rest waits on the log."""


class _Abandoned(Exception):
    """The partitions are going, or the service stops; whoever owns them next receives the batch again."""


@dataclass(slots=True)
class _Pending(Generic[R]):
    """A record on its way, and the type of the error with which the processor failed on it."""

    raw: Raw
    received: Received[R]
    error: str = ""


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
        self._suspicions: defaultdict[str, Suspicion[_Pending[R]]] = defaultdict(Suspicion)
        self._kept: dict[str, list[_Pending[R]]] = {}
        """By topic: what the processor failed on, and what came after it."""
        self._again_at_s = 0.0
        self._newest: dict[tuple[str, int], int] = {}

    @property
    def paused(self) -> str | None:
        """Why records wait although they are here; None where none do."""
        if not self._kept:
            return None
        errors = ", ".join(sorted({one.error for records in self._kept.values() for one in records if one.error}))
        kept = ", ".join(f"{len(records)} of {topic}" for topic, records in sorted(self._kept.items()))
        return f"paused: the handler fails on record after record ({errors}); kept to be tried again: {kept}"

    def full_topics(self) -> Collection[str]:
        """Topics of which no more can be kept."""
        if not self._kept:
            return ()
        return [
            topic
            for topic, records in self._kept.items()
            if len(records) >= MOST_KEPT or sum(len(one.raw.value or b"") for one in records) >= MOST_KEPT_BYTES
        ]

    async def process(self, raws: Sequence[Raw]) -> None:
        """Processes what was fetched, and what was kept once its time has come. It may raise: then nothing of it is
        finished."""
        began_s = time.perf_counter()
        batch: list[_Pending[R]] = []
        for raw in raws:
            try:
                batch.append(_Pending(raw, decode(raw, self._trust)))  # type: ignore[arg-type]
            except PoisonError as error:
                await self._dead_letter(raw, str(error))
        try:
            now: list[_Pending[R]] = []
            for one in batch:
                self._kept.get(one.raw.topic, now).append(one)
            await self._process_together(now)
            if self._kept and time.monotonic() >= self._again_at_s:
                await self._process_alone([one for records in self._kept.values() for one in records])
        except _Abandoned:
            return
        PROCESS_DURATION.record(time.perf_counter() - began_s, self._group)
        counts: dict[str, int] = {}
        for raw in raws:
            counts[raw.topic] = counts.get(raw.topic, 0) + 1
            self._newest[raw.topic, raw.partition] = raw.offset
        for topic, count in counts.items():
            CONSUMED.add(count, self._group, topic)
        self.work.passed(self._passed())

    def _passed(self) -> Iterator[tuple[tuple[str, int], int]]:
        """The offset of each partition up to which nothing is kept."""
        lowest: dict[tuple[str, int], int] = {}
        for records in self._kept.values():
            for one in records:
                partition = one.raw.topic, one.raw.partition
                lowest[partition] = min(one.raw.offset, lowest.get(partition, one.raw.offset))
        for partition, newest in self._newest.items():
            yield partition, lowest[partition] - 1 if partition in lowest else newest

    async def _process_together(self, batch: Sequence[_Pending[R]]) -> None:
        try:
            await self._process_patiently([one.received for one in batch])
        except _Abandoned:
            raise
        except Exception as error:
            log.warning("a batch failed; its records one by one", group=self._group, error=type(error).__name__)
            await self._process_alone(batch)
        else:
            for topic in {one.raw.topic for one in batch}:
                self._suspicions[topic].succeeded()

    async def _process_alone(self, batch: Sequence[_Pending[R]]) -> None:
        """One round of each topic; see `Suspicion`."""
        untried: dict[str, list[_Pending[R]]] = {one.raw.topic: [] for one in batch}
        for one in batch:
            suspicion = self._suspicions[one.raw.topic]
            if not suspicion.tries:
                untried[one.raw.topic].append(one)
                continue
            if self.ending:
                raise _Abandoned
            try:
                await self._process_patiently([one.received])
            except _Abandoned:
                raise
            except MessageSizeTooLargeError:
                # However good the processor, it would be too large again.
                await self._give_up(one, "MessageSizeTooLargeError")
            except Exception as error:
                if not one.error:
                    log.error("record cannot be processed", group=self._group, topic=one.raw.topic, **where(error))
                one.error = type(error).__name__
                suspicion.failed(one)
            else:
                for poison in suspicion.succeeded():
                    await self._give_up(poison, poison.error)
        for topic, later in untried.items():
            given_up, again = self._suspicions[topic].ends(later)
            for poison in given_up:
                await self._give_up(poison, poison.error)
            self._keep(topic, again)

    def _keep(self, topic: str, records: list[_Pending[R]]) -> None:
        if not records:
            if self._kept.pop(topic, None):
                log.info("the handler succeeds again", group=self._group, topic=topic)
            return
        self._kept[topic] = records
        rounds = max(self._suspicions[name].rounds for name in self._kept)
        pause_s = min(RETRY_FIRST_S * 2 ** (rounds - 1), PAUSE_MOST_S)
        self._again_at_s = time.monotonic() + pause_s
        log.error(self.paused, group=self._group, pause_s=pause_s)

    async def _give_up(self, one: _Pending[R], error: str) -> None:
        await self._dead_letter(one.raw, f"handler failed: {error}")

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
