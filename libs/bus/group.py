"""Membership in a consumer group: every record is processed, every failure handled, nothing committed too early.

- **Assignment.** A `Processor` is made and loads its state; then its partitions are read from their committed offsets,
  or from earlier ones (``rewind_ms``). No record comes before that.
- **Processing.** See `libs.bus.turn`.
- **Commits** are made by hand twice a second, up to the lowest record that is not finished; on revocation and stop too.
- **Revocation and stop.** The batch in work is finished and committed first, so the next owner starts after it. Who
  drains for long gives its partitions away before, and stays a member, so that the others know that it lives.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from contracts.record import Record
from contracts.services import Group
from contracts.topic import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.processor import Processor, Work
from libs.bus.producer import Producer
from libs.bus.reader import Membership, PartitionReader
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY, Trust
from libs.bus.tenure import Tenure
from libs.bus.turn import RETRY_FIRST_S, RETRY_MOST_S, Turn
from libs.runtime.background import Repeated
from libs.telemetry.metrics import Labels

log = structlog.get_logger()

R = TypeVar("R", bound=Record)

COMMIT_EVERY_S = 0.5
COMMIT_WITHIN_S = 5.0
HAND_OVER_WITHIN_S = 5.0
LAST_BATCH_WITHIN_S = 10.0
MOST_RECORDS = 500
"""In one batch."""


class GroupMember(Generic[R]):
    """A member of a consumer group. `start` joins it, `stop` drains and disconnects."""

    def __init__(
        self,
        settings: BusSettings,
        producer: Producer,
        group: Group[R],
        make: Callable[[Work], Processor[R]],
        *,
        client_id: str,
        instance: str | None = None,
        rewind_ms: Mapping[Topic[Any], int] | None = None,
        begin_ms: int | None = None,
        most_records: int = MOST_RECORDS,
        gather_s: float = 0.0,
        tick_s: float | None = None,
        drains_on: Topic[Any] | None = None,
        trust: Trust = NOBODY,
    ) -> None:
        """
        Args:
            make: the processor of a new assignment.
            client_id: the name by which `libs.bus.admin` knows this process among the group's members.
            instance: see `PartitionReader.in_group`.
            rewind_ms: topics that are read again from this long before now on assignment, to rebuild state.
            begin_ms: a group without offsets begins at this time (epoch, ms); None: with the oldest record.
            most_records: in one batch.
            gather_s: after a batch with which it has caught up, how long the next may gather on the log. For what no
                client waits for: what a batch costs is shared by more records.
            tick_s: the interval of `Processor.tick`; None: never.
            drains_on: a topic that it subscribes to while it drains, and of which it reads nothing: so the others have
                its partitions at once. None: it keeps them until it has drained.
            trust: whose signatures are believed.
        """
        self.group = group
        self._settings = settings
        self._producer = producer
        self.dead_letters = DeadLetters(producer, group.name)
        self._make = make
        self._drains_on = drains_on
        self._trust = trust
        self._rewind_ms = {topic.name: ms for topic, ms in (rewind_ms or {}).items()}
        self._begin_ms = begin_ms
        self._most_records = most_records
        self._gather_s = gather_s
        self._membership = Membership(group, _Listener(self), client_id, instance)
        self._joined: PartitionReader | None = None
        self.tenure = Tenure(settings.session_timeout_ms / 1000, lambda: self._joined)
        self._turn: Turn[R] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._stopping = False
        self._busy = asyncio.Lock()
        self._committed: dict[TopicPartition, int] = {}
        self._held_back: set[str] = set()
        name = group.name
        self._consuming = Repeated(f"{name}: consume", self._consume)
        self.background = [self._consuming, Repeated(f"{name}: commit", self._commit, every_s=COMMIT_EVERY_S)]
        if tick_s is not None:
            self.background.append(Repeated(f"{name}: tick", self._tick, every_s=tick_s))

    @property
    def ready(self) -> bool:
        """In the group, with whatever its partitions need loaded."""
        return self._turn is not None

    @property
    def paused(self) -> str | None:
        """Why records wait although they are here; None where none do."""
        return self._turn.paused if self._turn else None

    def lag(self) -> int:
        """Records on the log behind the newest, over all owned partitions, as far as the client knows."""
        return int(sum(count for count, _ in self.lags()))

    def lags(self) -> Iterator[tuple[float, Labels]]:
        """The same by group and topic, as `sluice.consumer.lag` shows it."""
        turn, reader = self._turn, self._joined
        if turn is None or reader is None:
            return
        for partition, offset in turn.work.committable().items():
            yield max(0, reader.end_seen(partition) - offset), (self.group.name, partition.topic)

    async def start(self) -> None:
        """Joins the group. Raises KafkaError where no broker answers."""
        await self._join()
        for work in self.background:
            await work.start()

    async def stop(self) -> None:
        """Takes no further batch, finishes the one in work and what the processor drains, commits, disconnects.

        A member with a name stays in the group until its session times out, so that it may come back.
        """
        self._stopping = True
        await self._stop_loading()
        turn = self._turn
        if turn:
            turn.ending = True
        # Where the broker is away the batch in work may never end: what is not finished comes again.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_BATCH_WITHIN_S), self._busy:
                pass
        for work in self.background:
            await work.stop()
        if self._drains_on and self._joined:
            await self._end_turn()
            self._joined.drain_on(self._drains_on)
        if turn:
            # The group may take the partitions meanwhile; what was held is then its next owner's.
            await turn.processor.drain()
        await self._end_turn()
        await self._leave()

    @property
    def _reader(self) -> PartitionReader:
        if self._joined is None:
            raise KafkaError("not in the group")
        return self._joined

    async def _join(self) -> None:
        self._joined = PartitionReader(self._settings, self._membership)
        try:
            await self._joined.start()
        except BaseException:
            # Who is stopped while joining leaves too: a ghost among the members would hold up everybody's rebalance.
            await self._leave()
            raise

    async def _leave(self) -> None:
        reader, self._joined = self._joined, None
        if reader:
            await reader.stop()

    # Assignment.

    async def _assigned(self, partitions: set[TopicPartition]) -> None:
        self._reader.pause(partitions)
        if self._stopping:
            return
        self._loading = asyncio.create_task(self._load(partitions), name=f"{self.group.name}: load")

    async def _revoked(self) -> None:
        await self._stop_loading()
        await self._end_turn()

    async def _stop_loading(self) -> None:
        loading, self._loading = self._loading, None
        if loading:
            loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loading

    async def _end_turn(self) -> None:
        turn = self._turn
        if turn is None:
            return
        turn.ending = True
        async with self._busy:
            if turn is not self._turn:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HAND_OVER_WITHIN_S):
                    await turn.processor.hand_over()
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(COMMIT_WITHIN_S):
                    await self._commit()
            turn.work.close()
            self._turn = None

    async def _load(self, partitions: set[TopicPartition]) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                positions = await self._positions(partitions)
                work = Work(self._producer, positions)
                processor = self._make(work)
                await processor.load()
                break
            except Exception as error:
                log.warning("loading is tried again", group=self.group.name, error=repr(error)[:200], pause_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_MOST_S)
        self._committed.clear()
        self._held_back.clear()
        self._reader.resume(positions)
        self._turn = Turn(self.group.name, processor, work, self.dead_letters, self._trust)
        log.info(
            "assigned", group=self.group.name, partitions=sorted(f"{name}-{number}" for name, number in partitions)
        )

    async def _positions(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        """Where each partition begins: at its committed offset, rewound, or, without one, where the group begins."""
        now_ms = int(time.time() * 1000)
        first = await self._reader.first_offsets(partitions)
        rewound = await self._reader.offsets_since(
            {
                partition: now_ms - self._rewind_ms[partition.topic]
                for partition in partitions
                if partition.topic in self._rewind_ms
            }
        )
        begins = await self._begins(partitions)
        positions: dict[TopicPartition, int] = {}
        for partition in partitions:
            committed = await self._reader.committed(partition)
            position = max(begins.get(partition, 0) if committed is None else committed, first[partition])
            again_from = rewound.get(partition)
            if committed is not None and again_from is not None:
                position = min(position, again_from)
            positions[partition] = position
            if committed is None and self._begin_ms is not None:
                # At once: who is killed before the first commit would begin at another time.
                await self._reader.commit({partition: position})
        return positions

    async def _begins(self, partitions: set[TopicPartition]) -> dict[TopicPartition, int]:
        """Offsets of the group's beginning."""
        if self._begin_ms is None:
            return {}
        found = await self._reader.offsets_since(dict.fromkeys(partitions, self._begin_ms))
        ends = await self._reader.end_offsets(partitions)
        return {partition: ends[partition] if offset is None else offset for partition, offset in found.items()}

    # Records.

    async def _consume(self) -> None:
        if self._joined is None:
            await self._join()
        try:
            while True:
                fetched = await self._reader.fetch(most=self._most_records)
                # As of the step in which the records left the reader: what comes during loading is read again.
                turn = self._turn
                if turn is None or not (fetched or turn.paused):
                    continue
                raws = [raw for found in fetched.values() for raw in found]
                async with self._busy:
                    if turn is self._turn and not turn.ending:
                        await turn.process(raws)
                        self._hold_back(turn.full_topics())
                if self._gather_s and not self.lag():
                    await asyncio.sleep(self._gather_s)
        except Exception as error:
            # A batch that was given up must not be passed over by the next: the partitions are read again from their
            # committed offsets. After a KafkaError the client's membership is over anyway.
            log.warning("joining the group anew", group=self.group.name, error=type(error).__name__)
            await self._revoked()
            await self._leave()
            raise

    def _hold_back(self, topics: Collection[str]) -> None:
        """Fetches nothing of these topics, and of all others of the group."""
        if set(topics) != self._held_back:
            self._held_back = set(topics)
            self._reader.hold_back(self._held_back)

    async def _tick(self) -> None:
        async with self._busy:
            turn = self._turn
            if turn and not turn.ending:
                await turn.processor.tick()
                await turn.work.settle()

    async def _commit(self) -> None:
        if self._turn is None:
            return
        offsets = {
            partition: offset
            for partition, offset in self._turn.work.committable().items()
            if offset != self._committed.get(partition)
        }
        if offsets:
            await self._reader.commit(offsets)
            self._committed.update(offsets)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, member: GroupMember[Any]) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._member._revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._member._assigned(assigned)
