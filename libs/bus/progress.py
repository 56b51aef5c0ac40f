"""How far topics and their groups are, without a record being read."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.services import ServiceSpec
from libs.bus.reader import PartitionReader
from libs.bus.settings import BusSettings


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """One consumer group."""

    state: str
    """As Kafka names it: ``Stable``, ``PreparingRebalance``, ``CompletingRebalance``, ``Empty``, ``Dead``."""
    members: int
    lag: int
    """Records that are on its topics and not committed; of watched topics alone."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen at a moment."""

    at_s: float
    """Monotonic."""
    ends: Mapping[str, int]
    """By topic: how many records were ever written."""
    groups: Mapping[str, GroupProgress]


class Progress:
    """Reads what a `ServiceSpec` watches. Two connections while it is entered, and none before."""

    def __init__(self, settings: BusSettings, spec: ServiceSpec) -> None:
        self._settings = settings
        self._groups = [group.name for group in spec.watches_groups]
        self._partitions = [
            TopicPartition(topic.name, number)
            for topic in spec.watches
            for number in range(settings.partitions_of(topic))
        ]
        self._admin = AIOKafkaAdminClient(**settings.connection())
        self._reader = PartitionReader(settings)

    async def __aenter__(self) -> "Progress":
        await self._admin.start()
        try:
            await self._reader.start()
        except BaseException:
            await self._admin.close()
            raise
        # Assigned and never resumed: nothing is fetched.
        self._reader.assign(self._partitions)
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._reader.stop()
        await self._admin.close()

    async def read(self) -> Reading:
        """What is seen now. Raises KafkaError where the broker is away."""
        ends = await self._reader.end_offsets(self._partitions)
        by_topic: Counter[str] = Counter()
        for partition, end in ends.items():
            by_topic[partition.topic] += end
        groups = {name: await self._group(name, ends) for name in self._groups}
        return Reading(time.monotonic(), by_topic, groups)

    async def _group(self, name: str, ends: Mapping[TopicPartition, int]) -> GroupProgress:
        state, members = "Unknown", 0
        for answer in await self._admin.describe_consumer_groups([name]):
            for described in answer.groups:
                state, members = _described(described)
        try:
            committed = await self._admin.list_consumer_group_offsets(name)
        except KafkaError:
            committed = {}
        lag = sum(max(0, ends[one] - at.offset) for one, at in committed.items() if one in ends and at.offset >= 0)
        return GroupProgress(state, members, lag)


def _described(described: Any) -> tuple[str, int]:
    """Of DescribeGroups: error, group, state, protocol type, protocol, members."""
    return str(described[2]), len(described[5])
