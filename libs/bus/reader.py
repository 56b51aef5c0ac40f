"""The one place that fetches from Kafka. Three ways to stand on it: `GroupMember`, `Follower`, `read_to_end`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, NoError, RebalanceInProgressError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import HeartbeatRequest

from contracts.services import Group
from contracts.topic import Topic
from libs.bus.records import Raw
from libs.bus.settings import MAX_REQUEST_BYTES, BusSettings

Fetched = Mapping[TopicPartition, list[Raw]]

HEARTBEATS = 6
"""In a session's time-out."""
NEVER_MS = 24 * 3600 * 1000
REBALANCE_WITHIN_MS = 30_000
"""So long the others wait for a member that finishes its batch; who is dead, they miss by its session."""


class Beat(Enum):
    """What the coordinator answers to a member's heartbeat."""

    KNOWN = auto()
    IS_TO_REJOIN = auto()
    """The group has it, and is being rebalanced."""
    UNKNOWN = auto()


_BEATS = {
    NoError: Beat.KNOWN,
    RebalanceInProgressError: Beat.IS_TO_REJOIN,
    UnknownMemberIdError: Beat.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Membership:
    """How a reader takes part in a consumer group, whose coordinator assigns its partitions."""

    group: Group[Any]
    listener: ConsumerRebalanceListener
    """Is given the partitions as they come and go."""
    client_id: str
    instance: str | None = None
    """Static membership (KIP-345): who comes back under the same name within the session time-out has its partitions
    back at once, without a rebalance. None: a new member each time."""


class PartitionReader:
    """Fetches records of partitions from chosen offsets on. Offsets are committed by hand, or never."""

    def __init__(
        self,
        settings: BusSettings,
        membership: Membership | None = None,
        *,
        wait_ms: int = 500,
        most_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        """
        Args:
            membership: None: outside of groups; see `assign`.
            wait_ms: how long the broker may hold a fetch that finds nothing. It wakes at once for a record, so a long
                wait saves work and adds no latency; but a change of partitions or offsets waits for the open fetch.
            most_bytes: see `BusSettings.fetching`.
        """
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **settings.connection(),
            **settings.fetching(wait_ms, most_bytes),
            **(_group_options(settings, membership) if membership else {}),
        )
        if membership:
            names = [topic.name for topic in membership.group.topics]
            self._consumer.subscribe(names, listener=membership.listener)

    async def start(self) -> None:
        """Connects; in a group, joins it. Raises KafkaError where no broker answers."""
        await self._consumer.start()

    @property
    def member_id(self) -> str:
        """By which its group knows it; empty where it knows of none."""
        coordinator = self._consumer._coordinator
        return str(coordinator.member_id) if coordinator else ""

    async def beat(self) -> Beat:
        """Asks the coordinator whether the group has this member.

        Raises:
            KafkaError: that cannot be known now; the coordinator is away, or has just begun another generation.
        """
        coordinator = self._consumer._coordinator
        answer = await coordinator._send_req(
            HeartbeatRequest(coordinator.group_id, coordinator.generation, coordinator.member_id)
        )
        error = for_code(answer.error_code)
        if error not in _BEATS:
            raise error()
        return _BEATS[error]

    async def stop(self) -> None:
        """Disconnects; a member without an instance name leaves its group."""
        await self._consumer.stop()

    def drain_on(self, topic: Topic[Any]) -> None:
        """Gives the partitions to the other members, and stays one: it subscribes to another topic instead."""
        self._consumer.subscribe([topic.name])

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        """Chooses partitions outside of groups. Nothing is fetched before `resume`: a fetch that finds nothing would
        hold up the questions for offsets that follow on its connection (by ``wait_ms``)."""
        self._consumer.assign(list(partitions))
        self.pause(partitions)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetches nothing of these until `resume`."""
        self._consumer.pause(*partitions)
        self._consumer._fetcher.look_again()

    def resume(self, positions: Mapping[TopicPartition, int]) -> None:
        """Goes on at these offsets."""
        for partition, offset in positions.items():
            self._consumer.seek(partition, offset)
        self._consumer.resume(*positions)
        self._consumer._fetcher.look_again()

    def hold_back(self, topics: Collection[str]) -> None:
        """Fetches nothing of these topics' partitions, and goes on with all others where it was."""
        for partition in self._consumer.assignment():
            change = self._consumer.pause if partition.topic in topics else self._consumer.resume
            change(partition)
        self._consumer._fetcher.look_again()

    async def fetch(self, *, most: int | None = None, within_ms: int = 500) -> Fetched:
        """Returns as soon as there is a record, or nothing when the time is over.

        Args:
            most: how many records at once.
        """
        fetched: Fetched = await self._consumer.getmany(timeout_ms=within_ms, max_records=most)
        return fetched

    async def first_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The oldest offset of each partition."""
        return dict(await self._consumer.beginning_offsets(list(partitions))) if partitions else {}

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset that each partition's next record will have."""
        return dict(await self._consumer.end_offsets(list(partitions))) if partitions else {}

    async def offsets_since(self, times_ms: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """The offset of each partition's first record of a time (epoch, ms) or later; None where there is none."""
        if not times_ms:
            return {}
        found = await self._consumer.offsets_for_times(dict(times_ms))
        return {partition: found[partition].offset if found.get(partition) else None for partition in times_ms}

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's offset of a partition, if it has one."""
        offset: int | None = await self._consumer.committed(partition)
        return offset

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raises KafkaError where the broker is away or the partitions are not ours any more."""
        await self._consumer.commit(dict(offsets))

    async def position(self, partition: TopicPartition) -> int:
        """The offset that is fetched next."""
        offset: int = await self._consumer.position(partition)
        return offset

    def end_seen(self, partition: TopicPartition) -> int:
        """The partition's end as of the last fetch; 0 where nothing was fetched."""
        try:
            return self._consumer.highwater(partition) or 0
        except (KafkaError, AssertionError):
            return 0


def _group_options(settings: BusSettings, membership: Membership) -> dict[str, Any]:
    return {
        "group_id": membership.group.name,
        "group_instance_id": membership.instance,
        "client_id": membership.client_id,
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "session_timeout_ms": settings.session_timeout_ms,
        "heartbeat_interval_ms": settings.session_timeout_ms // HEARTBEATS,
        "rebalance_timeout_ms": REBALANCE_WITHIN_MS,
        "max_poll_interval_ms": NEVER_MS,
    }
