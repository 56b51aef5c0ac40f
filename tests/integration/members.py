"""Members of groups for tests: what they are given to do, and what they saw."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from contracts import topics
from contracts.requests import RequestAccepted
from contracts.services import Group
from libs.bus.group import GroupMember
from libs.bus.processor import Processor, Work
from libs.bus.producer import Producer
from libs.bus.records import DeadLetter, Received
from libs.bus.settings import BusSettings
from tests.stacks import until

WITHIN_S = 60.0

Batch = Sequence[Received[RequestAccepted]]
Process = Callable[[Batch, Work], Awaitable[None]]


class Seen:
    """What a group processed of one test's records."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.numbers: list[int] = []
        self.by_partition: dict[int, list[int]] = defaultdict(list)

    async def process(self, batch: Batch, _work: Work) -> None:
        self.take(batch)

    def take(self, batch: Batch) -> list[Received[RequestAccepted]]:
        mine = [received for received in batch if self.mine(received)]
        for received in mine:
            self.numbers.append(self.number(received))
            self.by_partition[received.partition].append(received.offset)
        return mine

    def mine(self, received: Received[RequestAccepted]) -> bool:
        return received.record.model.startswith(f"{self.run}/")

    def number(self, received: Received[RequestAccepted]) -> int:
        return int(received.record.model.rpartition("/")[2])

    async def all(self, count: int) -> None:
        """Waits until every number below ``count`` was processed."""

        async def complete() -> bool | None:
            return set(range(count)) <= set(self.numbers) or None

        await until(complete, what=f"{count} records, there are {len(set(self.numbers))}", within_s=WITHIN_S)

    async def one(self, number: int) -> None:
        """Waits until this number was processed."""

        async def there() -> bool | None:
            return number in self.numbers or None

        await until(there, what=f"record {number}", within_s=WITHIN_S)


class Given(Processor[RequestAccepted]):
    """Does what a test gives it."""

    def __init__(
        self,
        work: Work,
        process: Process,
        load: Callable[[Work], Awaitable[None]] | None,
        drain: Callable[[Work], Awaitable[None]] | None,
        letters: list[DeadLetter],
    ) -> None:
        self._work = work
        self._process = process
        self._load = load
        self._drain = drain
        self._letters = letters

    async def load(self) -> None:
        if self._load:
            await self._load(self._work)

    async def process(self, batch: Batch) -> None:
        await self._process(batch, self._work)

    async def on_dead_letter(self, letter: DeadLetter) -> None:
        self._letters.append(letter)

    async def drain(self) -> None:
        if self._drain:
            await self._drain(self._work)


def member_of(
    bus: BusSettings,
    producer: Producer,
    group: str,
    process: Process,
    *,
    load: Callable[[Work], Awaitable[None]] | None = None,
    drain: Callable[[Work], Awaitable[None]] | None = None,
    letters: list[DeadLetter] | None = None,
    **options: Any,
) -> GroupMember[RequestAccepted]:
    return GroupMember(
        bus,
        producer,
        Group(group, (topics.REQUESTS,)),
        lambda work: Given(work, process, load, drain, [] if letters is None else letters),
        **({"client_id": "tests"} | options),
    )


async def assigned(member: GroupMember[RequestAccepted]) -> None:
    """Waits until it has its partitions."""

    async def ready() -> bool | None:
        return member.ready or None

    await until(ready, what="assignment", within_s=WITHIN_S)


@asynccontextmanager
async def running_member(member: GroupMember[RequestAccepted]) -> AsyncIterator[GroupMember[RequestAccepted]]:
    await member.start()
    await assigned(member)
    try:
        yield member
    finally:
        await member.stop()
