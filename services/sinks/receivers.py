"""What a sink's consumer group gives its records to: a `Sink`, or files."""

from collections.abc import Mapping
from typing import Any, Protocol

from contracts import topics
from contracts.record import Record
from contracts.topic import Topic
from libs.bus.processor import Processor, Work
from libs.config.sinks import AnyKind, FilesSink, S3Sink
from services.sinks.gathering import TICK_S, GatheringProcessor
from services.sinks.opening import Opening
from services.sinks.processor import SinkProcessor, Tally
from services.sinks.sink import Sink
from services.sinks.stores import Store

TOPICS: Mapping[AnyKind, Topic[Any]] = {
    "usage": topics.USAGE,
    "charges": topics.CHARGES,
    "credit": topics.CREDIT,
    "alerts": topics.ALERTS,
    "contents": topics.CONTENTS,
}
"""Where the records of each kind are."""
_FOLDERS = {topic: kind for kind, topic in TOPICS.items()}
FETCHED = 500


class Receiver(Protocol):
    """Lives as long as the service; makes a processor for each assignment."""

    most_records: int
    """In one batch."""
    tick_s: float | None
    """See `Processor.tick`."""

    async def start(self) -> None:
        """Makes ready; connects to nothing that may be away."""

    async def stop(self) -> None:
        """Closes what is open."""

    def processor(self, work: Work, tally: Tally) -> Processor[Record]:
        """Of a new assignment."""


class SinkReceiver:
    """A sink that is given each batch as it comes."""

    tick_s: float | None = None

    def __init__(self, sink: Sink, opening: Opening) -> None:
        self._sink = sink
        self._opening = opening
        self.most_records = sink.most_events
        self.start = sink.start
        self.stop = sink.stop

    def processor(self, work: Work, tally: Tally) -> Processor[Record]:
        """See `Receiver.processor`."""
        return SinkProcessor(self._sink, self._opening, tally)


class FileReceiver:
    """Files of many records each."""

    most_records = FETCHED
    tick_s: float | None = TICK_S

    def __init__(self, store: Store, config: FilesSink | S3Sink, opening: Opening) -> None:
        self._store = store
        self._opening = opening
        self._config = config
        self.start = store.start
        self.stop = store.stop

    def processor(self, work: Work, tally: Tally) -> Processor[Record]:
        """See `Receiver.processor`."""
        return GatheringProcessor(self._store, self._config, self._opening, _FOLDERS, work, tally)
