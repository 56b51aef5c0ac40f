"""Fetches for aiokafka's consumers, in place of its own fetcher, whose questions about offsets it keeps.

aiokafka's needs a task, two `asyncio.wait` and a walk over all partitions for each fetch. Here an answer is read where
it arrives, its records wait for whoever takes them, and whoever has taken the last of them and comes back asks the
broker for more. A task is only there for what is rare: other partitions, other leaders, lost offsets, a broker that is
away. ADR 58 has the measurement.

- **One fetch at a time** is on its way to each broker, in a session (`libs.bus.fetch_session`). None is while records
  of that broker wait or are worked on: what a reader does not take, stays on the log, and what comes meanwhile comes
  together.
- **Positions** are aiokafka's, by assignment; what comes for another position than the present one is dropped, and
  comes again.
"""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import CloseReason
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer.fetcher import Fetcher, OffsetResetStrategy
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    IncompatibleBrokerVersion,
    KafkaError,
    NoError,
    NotLeaderForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from libs.bus.connections import ANSWER_WITHIN_S
from libs.bus.fetch_session import FetchSession
from libs.bus.frames import ask, connection_to, speaks
from libs.bus.messages import FETCH, Bounds, Part, decode_fetched, encode_fetch
from libs.bus.records import Raw, unpack
from libs.bus.untaken import Untaken
from libs.runtime.background import Tasks
from libs.telemetry.logs import where

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
"""At what nobody announces: a broker that is silent, a partition that was paused or resumed."""
AGAIN_AFTER_S = 0.1
"""Where a fetch failed."""


class _Broker:
    """One broker, as the leader of partitions of one assignment."""

    __slots__ = ("looks", "node_id", "session", "timer", "under_way")

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.session = FetchSession[TopicPartition]()
        self.under_way = False
        """A fetch is."""
        self.looks = 0
        """How often it was not answered yet: in a process that stood still a time would say nothing of the broker."""
        self.timer: asyncio.TimerHandle | None = None
        """It is asked then."""


class DirectFetcher(Fetcher):  # type: ignore[misc]
    """See above. Made by `AIOKafkaConsumer.start`, with its arguments."""

    def __init__(self, client: AIOKafkaClient, subscriptions: SubscriptionState, **options: Any) -> None:
        super().__init__(client, subscriptions, **options)
        self._bounds = Bounds(self._fetch_max_wait_ms, self._fetch_max_bytes, self._max_partition_fetch_bytes)
        self._brokers: dict[int, _Broker] = {}
        self._assignment: Assignment | None = None
        self._untaken = Untaken[_Broker]()
        self._drained: set[_Broker] = set()
        """Their records were taken since the last time somebody came for some."""
        self._failure: KafkaError | None = None
        """For the next who takes records."""
        self._changed = asyncio.Event()
        self._tasks = Tasks("fetch")
        self._asking_for_leaders: asyncio.TimerHandle | None = None
        client.cluster.add_listener(self.look_again)

    # What is rare.

    async def _fetch_requests_routine(self) -> None:
        """The task that aiokafka's constructor starts and `close` cancels."""
        while True:
            assignment = await self._assigned()
            assignment.unassign_future.add_done_callback(self.look_again)
            self._assignment, self._brokers = assignment, {}
            self._untaken.clear()
            self._drained.clear()
            while assignment.active:
                self._changed.clear()
                try:
                    await self._find_positions(assignment)
                    self._arrange(assignment)
                except Exception as error:
                    log.error("partitions cannot be arranged", **where(error))
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._changed.wait()
                except TimeoutError:
                    self._end_silence()
            self._drop_brokers()

    async def _assigned(self) -> Assignment:
        while True:
            subscription = self._subscriptions.subscription
            if subscription and subscription.assignment and subscription.assignment.active:
                return subscription.assignment
            with contextlib.suppress(KafkaError):
                await self._subscriptions.wait_for_assignment()

    def look_again(self, _: Any = None) -> None:
        """Partitions were paused or resumed, or have other leaders: at once what would be seen a little later."""
        self._changed.set()

    async def _find_positions(self, assignment: Assignment) -> None:
        """Of partitions that have none: their offset was not on the log any more."""
        lost: dict[int, list[TopicPartition]] = {}
        for partition in assignment.tps:
            state = assignment.state_value(partition)
            if not state.has_valid_position and not (state.paused and not state.awaiting_reset):
                leader = self._leader(partition)
                if leader is not None:
                    lost.setdefault(leader, []).append(partition)
        for node_id, partitions in lost.items():
            asking = self._tasks.spawn(self._update_fetch_positions(assignment, node_id, partitions))
            await asyncio.wait([asking, assignment.unassign_future], return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()

    def _leader(self, partition: TopicPartition) -> int | None:
        leader: int | None = self._client.cluster.leader_for_partition(partition)
        if leader is not None and leader != -1:
            return leader
        if self._asking_for_leaders is None:
            self._asking_for_leaders = self._loop.call_later(AGAIN_AFTER_S, self._ask_for_leaders)
        return None

    def _ask_for_leaders(self) -> None:
        self._asking_for_leaders = None
        self._client.force_metadata_update()

    def _arrange(self, assignment: Assignment) -> None:
        """Gives each broker the partitions that are read from it."""
        wanted: dict[int, dict[TopicPartition, int]] = {node_id: {} for node_id in self._brokers}
        for partition in assignment.tps:
            state = assignment.state_value(partition)
            if state.paused or not state.has_valid_position:
                continue
            leader = self._leader(partition)
            if leader is not None:
                wanted.setdefault(leader, {})[partition] = state.position
        for node_id, positions in wanted.items():
            broker = self._brokers.get(node_id)
            if broker is None:
                broker = self._brokers[node_id] = _Broker(node_id)
            broker.session.want(positions)
            self._ask(broker)

    def _end_silence(self) -> None:
        for broker in self._brokers.values():
            if not broker.under_way:
                continue
            broker.looks += 1
            connection = connection_to(self._client, broker.node_id)
            if broker.looks * LOOK_EVERY_S > ANSWER_WITHIN_S and connection:
                connection.close(reason=CloseReason.CONNECTION_TIMEOUT)

    def _drop_brokers(self) -> None:
        for broker in self._brokers.values():
            if broker.timer:
                broker.timer.cancel()

    async def close(self) -> None:
        """Ends all fetching."""
        self._client.cluster.remove_listener(self.look_again)
        await super().close()
        self._drop_brokers()
        if self._asking_for_leaders:
            self._asking_for_leaders.cancel()
        await self._tasks.cancel()

    # The way of records.

    def _ask(self, broker: _Broker) -> None:
        """Asks a broker for more, if there is something to ask for and nobody has to take records first."""
        if broker.under_way or broker.timer or not broker.session.wanted or self._closed:
            return
        if self._untaken.some_of(broker):
            return
        connection = connection_to(self._client, broker.node_id)
        if connection is None:
            broker.timer = self._loop.call_later(0, self._connect, broker)
            return
        body = encode_fetch(broker.session.ask(), self._bounds)
        broker.under_way = True
        broker.looks = 0
        try:
            ask(
                connection,
                FETCH,
                body,
                lambda frame: self._answered(broker, frame),
                lambda error: self._failed(broker, error),
            )
        except KafkaError as error:
            self._failed(broker, error)

    def _ask_later(self, broker: _Broker, pause_s: float) -> None:
        def now() -> None:
            broker.timer = None
            if self._is_present(broker):
                self._ask(broker)

        broker.timer = self._loop.call_later(pause_s, now)

    def _is_present(self, broker: _Broker) -> bool:
        """Its assignment is still the one that counts."""
        if self._closed or self._assignment is None or not self._assignment.active:
            return False
        return self._brokers.get(broker.node_id) is broker

    def _connect(self, broker: _Broker) -> None:
        def connected(done: asyncio.Task[bool]) -> None:
            broker.timer = None
            if done.cancelled() or not self._is_present(broker):
                return
            connection = connection_to(self._client, broker.node_id)
            if done.exception() or connection is None:
                self._ask_later(broker, AGAIN_AFTER_S)
                return
            try:
                speaks(connection, FETCH)
            except IncompatibleBrokerVersion as error:
                self._fail(error)
                self._ask_later(broker, LOOK_EVERY_S)
            else:
                self._ask(broker)

        self._tasks.spawn(self._client.ready(broker.node_id)).add_done_callback(connected)

    def _failed(self, broker: _Broker, error: BaseException) -> None:
        broker.under_way = False
        broker.session.lost()
        if self._is_present(broker):
            log.warning("a fetch failed", broker=broker.node_id, error=type(error).__name__)
            self._ask_later(broker, AGAIN_AFTER_S)

    def _answered(self, broker: _Broker, frame: bytes) -> None:
        answer = decode_fetched(frame)
        asked, broker.under_way = broker.session.told, False
        broker.session.answered(answer.session_id, answer.error_code)
        assignment = self._assignment
        if assignment is None or not self._is_present(broker):
            return
        good = [self._take(broker, assignment, part, asked.get(part.partition)) for part in answer.parts]
        if answer.error_code != NoError.errno or not all(good):
            self._ask_later(broker, AGAIN_AFTER_S)
        if self._untaken:
            self._wake()
        self._ask(broker)

    def _take(self, broker: _Broker, assignment: Assignment, part: Part, asked: int | None) -> bool:
        """Keeps what came of one partition until somebody takes it. Returns false where there was an error."""
        partition = part.partition
        state = assignment.state_value(partition)
        if asked is None or state is None or not state.has_valid_position or state.position != asked:
            return True
        if part.error_code != NoError.errno:
            self._refused(state, partition, for_code(part.error_code))
            return False
        state.highwater = part.end
        if not part.records:
            return True
        try:
            raws, next_position = unpack(partition, part.records, asked)
        except KafkaError as error:
            # Among others a compression that nobody here can undo.
            self._fail(error)
            return False
        if next_position == asked:
            self._fail(CorruptRecordException(f"{partition.topic}-{partition.partition} at {asked} cannot be read"))
            return False
        self._untaken.add(partition, raws, asked, next_position, broker)
        return True

    def _refused(self, state: Any, partition: TopicPartition, error: type[KafkaError]) -> None:
        if error in (NotLeaderForPartitionError, UnknownTopicOrPartitionError):
            self._client.force_metadata_update()
        elif error is OffsetOutOfRangeError and self._default_reset_strategy != OffsetResetStrategy.NONE:
            log.warning("an offset is not on the log", topic=partition.topic, partition=partition.partition)
            state.await_reset(self._default_reset_strategy)
            self.look_again()
        elif error in (TopicAuthorizationFailedError, OffsetOutOfRangeError):
            self._fail(error(partition.topic))
        else:
            log.warning("a partition cannot be fetched", topic=partition.topic, error=error.__name__)

    def _fail(self, error: KafkaError) -> None:
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        for waiter in self._fetch_waiters:
            self._notify(waiter)

    async def fetched_records(
        self, partitions: Collection[TopicPartition], timeout: float = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Raw]]:
        """Takes records as soon as there are some; nothing when the time (s) is over.

        Raises:
            KafkaError: a partition may not be read, or cannot.
        """
        ends_s = self._loop.time() + timeout
        self._ask_drained()
        while True:
            # Records of before a rebalance may be another member's by now.
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            taken = self._taken(partitions, max_records)
            if taken:
                return taken
            self._ask_drained()
            if self._failure:
                failure, self._failure = self._failure, None
                raise failure
            left_s = ends_s - self._loop.time()
            if left_s <= 0 or self._closed:
                return {}
            waiter = self._create_fetch_waiter()
            timer = self._loop.call_later(left_s, self._notify, waiter)
            try:
                # The coordinator may end it with an error.
                await waiter
            finally:
                timer.cancel()

    def _ask_drained(self) -> None:
        for broker in self._drained:
            self._ask(broker)
        self._drained.clear()

    def _taken(self, partitions: Collection[TopicPartition], most: int | None) -> dict[TopicPartition, list[Raw]]:
        taken = self._untaken.take(self._standing, partitions, most)
        self._drained |= taken.emptied
        for partition, position in taken.positions.items():
            self._move(partition, position)
        return taken.records

    def _standing(self, partition: TopicPartition) -> int | None:
        """Where a partition goes on; None where nothing of it is to be taken now."""
        assignment = self._assignment
        if assignment is None or not assignment.active:
            return None
        state = assignment.state_value(partition)
        position: int | None = None if state.paused or not state.has_valid_position else state.position
        return position

    def _move(self, partition: TopicPartition, position: int) -> None:
        if self._assignment:
            self._assignment.state_value(partition).consumed_to(position)
        # Another broker may lead it by now.
        for broker in self._brokers.values():
            broker.session.move(partition, position)

    async def next_record(self, partitions: Collection[TopicPartition]) -> Raw:
        """Takes one record as soon as there is one."""
        while not self._closed:
            for raws in (await self.fetched_records(partitions, LOOK_EVERY_S, 1)).values():
                return raws[0]
        raise ConsumerStoppedError

    def seek_to(self, partition: TopicPartition, offset: int) -> None:
        """Goes on elsewhere in a partition."""
        super().seek_to(partition, offset)
        self.look_again()

    def request_offset_reset(self, partitions: Collection[TopicPartition], strategy: int) -> Any:
        """Goes on at the beginning or at the end of partitions; returns a future of their offsets' being known."""
        found = super().request_offset_reset(partitions, strategy)
        self.look_again()
        return found


def fetch_directly() -> None:
    """From now on this process's consumers fetch so."""
    aiokafka_consumer.Fetcher = DirectFetcher
