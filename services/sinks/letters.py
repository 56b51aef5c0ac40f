"""How many dead letters there are that nobody has resolved: counted by offsets, without reading one."""

from collections.abc import Iterator

from aiokafka import TopicPartition

from contracts import topics
from contracts.services import SINKS
from libs.bus.reader import PartitionReader
from libs.bus.records import Received
from libs.bus.service import Service
from libs.runtime.background import Repeated
from libs.telemetry.instruments import LETTERS_WAITING
from libs.telemetry.metrics import Labels

EVERY_S = 15.0


class LetterCount:
    """Asks the broker now and then. A letter that two readers wrote counts twice until it is resolved; one that its
    queue has let go of does not count."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: dict[str, int] = {}
        self.known = False
        """It has been counted."""
        self.background = Repeated("count dead letters", self._count, every_s=EVERY_S)
        LETTERS_WAITING.observe("letters", self._observed)

    @property
    def unresolved(self) -> int:
        """Over all topics."""
        return sum(self._waiting.values())

    async def start(self) -> None:
        """Begins to count."""
        await self.background.start()

    async def stop(self) -> None:
        """Ends counting."""
        await self.background.stop()

    async def _count(self) -> None:
        queues = {TopicPartition(topic.dead_letters, 0): topic.name for topic in SINKS.counts}
        reader = PartitionReader(self._service.bus)
        await reader.start()
        try:
            ends = await reader.end_offsets(queues)
            firsts = await reader.first_offsets(queues)
        finally:
            await reader.stop()
        found = {name: ends[queue] - firsts[queue] for queue, name in queues.items() if ends[queue] > firsts[queue]}
        if found:
            async for one in self._service.recover(topics.RESOLUTIONS):
                if isinstance(one, Received):
                    name = one.record.letter_id.partition("/")[0]
                    if name in found:
                        found[name] = max(0, found[name] - 1)
        self._waiting = found
        self.known = True

    def _observed(self) -> Iterator[tuple[float, Labels]]:
        for name, count in self._waiting.items():
            yield count, (name,)
