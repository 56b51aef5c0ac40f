"""Control views: compacted topics held in memory, and known to be whole before a service says it is ready."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from contracts.record import Record
from contracts.topics import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.follower import Follower
from libs.bus.settings import BusSettings
from libs.bus.watch import BrokerWatch

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

R = TypeVar("R", bound=Record)


class View(Generic[R]):
    """The newest record of each key of one topic. It changes between two awaits only.

    Should the broker lose its log, the entries stay until they are told anew or deleted: nobody's key stops working
    while the log is being refilled. ``on_log`` is what the present log says, for those who refill it.
    """

    def __init__(self, topic: Topic, kind: type[R], on_change: Callable[[str, R | None], None] | None = None) -> None:
        """
        Args:
            topic: a compacted topic whose records are of type ``kind``.
            on_change: told of each new record, and of deletions with None.
        """
        self.topic = topic
        self.entries: dict[str, R] = {}
        self.on_log: dict[str, R] = {}
        self._kind = kind
        self._on_change = on_change

    def get(self, key: str) -> R | None:
        """The record of a key, if there is one."""
        return self.entries.get(key)

    def apply(self, key: str, record: Record | None) -> None:
        """Takes one record of the log in."""
        for entries in (self.entries, self.on_log):
            if record is None:
                entries.pop(key, None)
            elif isinstance(record, self._kind):
                entries[key] = record
        if self._on_change:
            self._on_change(key, self.entries.get(key))


class ViewReader(Follower):
    """Follows the topics of some views. One for each process; every process reads all of each topic."""

    def __init__(
        self, settings: BusSettings, watch: BrokerWatch, dead_letters: DeadLetters, views: Sequence[View[Any]]
    ) -> None:
        self._dead_letters = dead_letters
        self._views = {view.topic.name: view for view in views}
        places = [(view.topic, number) for view in views for number in range(settings.partitions_of(view.topic))]
        super().__init__(settings, watch, places, self._apply, on_new_log=self._forget_log)

    def _forget_log(self) -> None:
        for view in self._views.values():
            view.on_log.clear()

    def _apply(self, raws: "Sequence[ConsumerRecord[Any, Any]]") -> None:
        for raw in raws:
            view = self._views[raw.topic]
            key = raw.key.decode("utf-8", "replace") if raw.key else ""
            if raw.value is None:
                view.apply(key, None)
                continue
            record = self._dead_letters.read(raw)
            # One that cannot be read leaves the entry its last good value.
            if record is not None:
                view.apply(key, record)
