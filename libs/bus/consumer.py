"""The consumer kit: one group, one handler, and every failure handled.

A FastStream batch subscriber moves the bytes; this module gives its records a life:

- **Assignment.** The in-flight batch is finished, ``on_assigned`` runs and may load state, then every partition is
  sought to its committed offset (or rewound, see ``rewind_ms``). No record is handled before that. Should it fail, it
  is tried again until it succeeds or the partitions go.
- **Handling.** Records are parsed and given to ``handle`` in batches, in order within a partition. When it returns,
  they are finished, but for those that it held (`hold`), which wait for `release`.
- **Poison.** A record that cannot be parsed, or on which ``handle`` fails when it has it alone, goes to
  ``<topic>.dlq`` with the reason; ``on_poison`` may answer its client. The others go on.
- **Trouble elsewhere.** ``handle`` raises `RetryLater` (or any KafkaError escapes it): the same batch comes again
  after a pause, and nothing is committed meanwhile.
- **Commits** are made by hand twice a second, up to the lowest record that is not finished; on revocation and stop too.
- **Revocation and stop.** The batch in work is finished and committed first, so the next owner starts after it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from contracts.record import Record
from contracts.topics import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.producer import Producer
from libs.bus.reading import offsets_since
from libs.bus.received import Poison, PoisonError, Received, parse
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch
from libs.bus.watermark import Watermark

log = structlog.get_logger()

COMMIT_INTERVAL_S = 0.5
RETRY_FIRST_S = 0.1
RETRY_MOST_S = 5.0
MAX_BATCH = 500

Batch = list[Received[Record]]
Fetched = dict[TopicPartition, "Sequence[ConsumerRecord[Any, Any]]"]
Partitions = Mapping[Topic, set[int]]


class RetryLater(Exception):
    """Something that the handler needs is away; the message names it."""


class _Abandoned(Exception):
    """The batch is not ours any more, or the service stops; whoever owns it next gets it again."""


class _PatientConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Waits for records instead of returning none: FastStream sleeps after an empty poll, which costs latency.

    Records that come while partitions change hands are dropped here: settling seeks every partition again.
    """

    def __init__(self, *arguments: Any, owner: "Consumer", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._owner = owner

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        while True:
            found = await super().getmany(*partitions, timeout_ms=max(timeout_ms, 500), max_records=max_records)
            kept = self._owner.fetched(found)
            if kept:
                return kept


class Consumer:
    """A member of a consumer group. `start` joins it, `stop` drains and leaves it."""

    def __init__(
        self,
        settings: BusSettings,
        watch: BrokerWatch,
        producer: Producer,
        *,
        group: str,
        topics: Sequence[Topic],
        handle: Callable[[Batch], Awaitable[None]],
        rewind_ms: Mapping[Topic, int] | None = None,
        on_assigned: Callable[[Partitions], Awaitable[None]] | None = None,
        on_poison: Callable[[Poison], Awaitable[None]] | None = None,
        on_stop: Callable[[], Awaitable[None]] | None = None,
        member: str | None = None,
        fetch_wait_ms: int = 10,
    ) -> None:
        """
        Args:
            group: the consumer group, named after the service.
            topics: read together; those of equal partition count are assigned alike (range assignor).
            handle: given a batch; see the module's text for what its failures mean.
            rewind_ms: topics that are read again from this long before now on assignment, to rebuild state.
            on_assigned: given all partitions that are now owned, before any of their records.
            on_poison: told of records that went to the dead-letter queue.
            on_stop: runs after the last batch and before the group is left: the time to finish held records.
            fetch_wait_ms: see `BusSettings.fetching`; who is in no hurry may wait for fuller batches.
            member: the name by which `libs.bus.groups` knows this process among the group's members.
        """
        self._settings = settings
        self._watch = watch
        self._cluster_id: str | None = None
        self._dead_letters = DeadLetters(producer, group)
        self.group = group
        self._topics = {topic.name: topic for topic in topics}
        self._handle = handle
        self._rewind_ms = {topic.name: ms for topic, ms in (rewind_ms or {}).items()}
        self._on_assigned = on_assigned
        self._on_poison = on_poison
        self._on_stop = on_stop
        self._watermarks: dict[TopicPartition, Watermark] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._beginnings: Mapping[TopicPartition, int] = {}
        self._busy = asyncio.Lock()
        self._generation = 0
        self._settled_generation = -1
        self._fetched_generation = -1
        self._stopping = False
        self._broker = KafkaBroker(
            settings.bootstrap,
            client_id=member or f"sluice-{group}",
            apply_types=False,
            consumer_only=True,
            logger=None,
            **{k: v for k, v in settings.connection().items() if k == "retry_backoff_ms"},
            allow_auto_create_topics=False,
        )
        self._subscriber = self._broker.subscriber(
            *self._topics,
            batch=True,
            group_id=group,
            max_records=MAX_BATCH,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=24 * 3600 * 1000,
            listener=_Listener(self),
            decoder=_raw_records,
            **settings.fetching(),
        )
        self._subscriber(self._on_batch)
        self._committer: asyncio.Task[None] | None = None

    @property
    def _kafka(self) -> AIOKafkaConsumer:
        consumer = self._subscriber.consumer
        if consumer is None:
            raise KafkaError("the consumer is not running")
        return consumer

    @property
    def ready(self) -> bool:
        """In the group, with whatever its partitions need loaded."""
        return self._generation > 0 and self._settled_generation == self._generation

    async def start(self) -> None:
        """Joins the group. Raises KafkaError where no broker answers."""
        await self._broker.connect()
        configuration = self._broker.config.broker_config
        arguments = {**configuration.builder.keywords, **self._settings.connection(), "enable_auto_commit": False}  # type: ignore[attr-defined]
        configuration.builder = partial(_PatientConsumer, owner=self, **arguments)
        try:
            await self._broker.start()
        except BaseException:
            # Who is stopped while joining leaves too: a ghost among the members would hold up everybody's rebalance.
            await self._leave()
            raise
        self._committer = asyncio.create_task(self._commit_regularly())

    async def stop(self) -> None:
        """Takes no further batch, finishes the one in work and what ``on_stop`` finishes, commits, leaves the group."""
        self._stopping = True
        if self._committer:
            self._committer.cancel()
        async with self._busy:
            if self._on_stop:
                await self._on_stop()
            with contextlib.suppress(KafkaError):
                await self._commit()
        await self._leave()

    def hold(self, received: Received[Record]) -> None:
        """Keeps a record of the current batch in work after the handler returned."""
        watermark = self._watermarks.get(TopicPartition(received.topic, received.partition))
        if watermark:
            watermark.hold(received.offset)

    def release(self, received: Received[Record]) -> None:
        """A held record is finished; one of a partition that is no longer owned is ignored."""
        watermark = self._watermarks.get(TopicPartition(received.topic, received.partition))
        if watermark:
            watermark.release(received.offset)

    def begins_at(self, topic: Topic, partition: int) -> int:
        """The offset at which a partition that is being assigned will begin; for ``on_assigned``."""
        return self._beginnings[TopicPartition(topic.name, partition)]

    def lag(self) -> int:
        """Records on the log behind the newest, over all owned partitions, as far as the client knows."""
        total = 0
        consumer = self._subscriber.consumer
        if consumer is None:
            return 0
        for partition, watermark in self._watermarks.items():
            with contextlib.suppress(Exception):
                end = consumer.highwater(partition)
                total += max(0, (end or 0) - watermark.committable)
        return total

    def fetched(self, found: Fetched) -> Fetched:
        """Called in the same step in which records leave the fetcher; returns those to be handled."""
        self._fetched_generation = self._generation
        if not self.ready:
            return {}
        return found

    async def _on_batch(self, raws: "tuple[ConsumerRecord[Any, Any], ...]") -> None:
        async with self._busy:
            # A batch from before a rebalance is not ours any more, or is fetched again.
            if self._stopping or not self.ready or self._fetched_generation != self._generation:
                return
            batch: Batch = []
            for raw in raws:
                try:
                    batch.append(parse(raw))
                except PoisonError as error:
                    await self._bury(raw, str(error))
            try:
                await self._handle_all(batch, raws)
            except _Abandoned:
                return
            for raw in raws:
                watermark = self._watermarks.get(TopicPartition(raw.topic, raw.partition))
                if watermark:
                    watermark.passed(raw.offset)

    async def _handle_all(self, batch: Batch, raws: "tuple[ConsumerRecord[Any, Any], ...]") -> None:
        try:
            await self._patiently(batch)
        except _Abandoned:
            raise
        except Exception as error:
            log.warning("batch failed, taking its records one by one", group=self.group, error=type(error).__name__)
            by_place = {(raw.topic, raw.partition, raw.offset): raw for raw in raws}
            for received in batch:
                try:
                    await self._patiently([received])
                except _Abandoned:
                    raise
                except Exception as one_error:
                    log.exception("record cannot be handled", group=self.group, topic=received.topic)
                    place = (received.topic, received.partition, received.offset)
                    await self._bury(by_place[place], f"handler failed: {type(one_error).__name__}")

    async def _patiently(self, batch: Batch) -> None:
        pause_s = RETRY_FIRST_S
        generation = self._generation
        while batch:
            try:
                await self._handle(batch)
                return
            except (RetryLater, KafkaError) as error:
                log.warning("waiting", group=self.group, what=str(error)[:200], pause_s=pause_s)
                if self._stopping or generation != self._generation:
                    raise _Abandoned from None
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_MOST_S)

    async def _bury(self, raw: "ConsumerRecord[Any, Any]", reason: str) -> None:
        found = await self._dead_letters.bury(raw, reason)
        while self._on_poison:
            try:
                await self._on_poison(found)
                return
            except KafkaError as error:
                log.warning("waiting", group=self.group, what=repr(error)[:200])
                await asyncio.sleep(RETRY_FIRST_S)

    async def _assigned(self, partitions: set[TopicPartition]) -> None:
        pause_s = RETRY_FIRST_S
        if self._settled_generation == self._generation:
            self._generation += 1
        generation = self._generation
        while generation == self._generation and not self._stopping:
            try:
                async with self._busy:
                    self._cluster_id = await self._watch.cluster_id()
                    positions = self._beginnings = await self._positions(partitions)
                    if self._on_assigned:
                        owned: dict[Topic, set[int]] = {topic: set() for topic in self._topics.values()}
                        for partition in partitions:
                            owned[self._topics[partition.topic]].add(partition.partition)
                        await self._on_assigned(owned)
                    if generation != self._generation:
                        return
                    # Without a pause: what was fetched until now is dropped, what is fetched from now on is kept.
                    self._seek(positions)
                    self._settled_generation = generation
                log.info(
                    "assigned", group=self.group, partitions=sorted(f"{p.topic}-{p.partition}" for p in partitions)
                )
                return
            except Exception as error:
                log.warning("assignment is tried again", group=self.group, error=repr(error)[:200])
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_MOST_S)

    async def _positions(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        """Where each partition begins: at its committed offset, its first one, or rewound."""
        if not partitions:
            return {}
        consumer = self._kafka
        now_ms = int(time.time() * 1000)
        first = await consumer.beginning_offsets(partitions)
        wanted = {
            partition: now_ms - self._rewind_ms[partition.topic]
            for partition in partitions
            if partition.topic in self._rewind_ms
        }
        rewound = await offsets_since(consumer, wanted, first) if wanted else {}
        positions: dict[TopicPartition, int] = {}
        for partition in partitions:
            committed = await consumer.committed(partition)
            position = first[partition] if committed is None else max(committed, first[partition])
            again_from = rewound.get(partition)
            if committed is not None and again_from is not None:
                position = min(position, again_from)
            positions[partition] = position
        return positions

    def _seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._committed.clear()
        self._watermarks = {partition: Watermark(position) for partition, position in positions.items()}
        for partition, position in positions.items():
            self._kafka.seek(partition, position)

    async def _leave(self) -> None:
        await self._broker.stop()

    async def _revoked(self) -> None:
        self._generation += 1
        async with self._busy:
            with contextlib.suppress(KafkaError):
                await self._commit()
            self._watermarks.clear()

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            try:
                await self._commit()
            except Exception as error:
                log.warning("commit failed", group=self.group, error=repr(error)[:200])

    async def _commit(self) -> None:
        offsets = {
            partition: watermark.committable
            for partition, watermark in self._watermarks.items()
            if watermark.committable != self._committed.get(partition)
        }
        # Offsets of a log that the embedded broker lost would skip the first records of the next one.
        if offsets and (True):
            await self._kafka.commit(offsets)
            self._committed.update(offsets)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._consumer._revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._consumer._assigned(assigned)


async def _raw_records(message: Any) -> Any:
    return message.raw_message
