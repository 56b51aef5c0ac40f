"""Control views: compacted topics held in memory, and known to be whole before a service says it is ready."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from contracts.record import StateRecord
from contracts.topic import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.follower import Follower
from libs.bus.records import Deleted, Received
from libs.bus.settings import BusSettings

S = TypeVar("S", bound=StateRecord)


class View(Generic[S]):
    """The newest record of each key of one topic. It changes between two awaits only."""

    def __init__(self, topic: Topic[S], on_change: Callable[[str, S | None], None] | None = None) -> None:
        """
        Args:
            topic: a compacted topic.
            on_change: given each new record, and None for a key that ends.
        """
        self.topic = topic
        self.entries: dict[str, S] = {}
        self._on_change = on_change

    def get(self, key: str) -> S | None:
        """The record of a key, if there is one."""
        return self.entries.get(key)

    def apply(self, key: str, record: S | None) -> None:
        """Takes in the newest record of a key, or its end."""
        if record is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = record
        if self._on_change:
            self._on_change(key, record)


class ViewReader(Follower):
    """Follows the topics of some views. A record that cannot be decoded leaves its key the last good one."""

    def __init__(self, settings: BusSettings, dead_letters: DeadLetters, views: Sequence[View[Any]]) -> None:
        self._views = {view.topic.name: view for view in views}
        partitions = [(view.topic, number) for view in views for number in range(settings.partitions_of(view.topic))]
        super().__init__(settings, dead_letters, partitions, self._changed, on_deleted=self._deleted)

    def _changed(self, received: Received[StateRecord]) -> None:
        self._views[received.topic.name].apply(received.record.state_key, received.record)

    def _deleted(self, deleted: Deleted) -> None:
        self._views[deleted.topic.name].apply(deleted.key, None)
