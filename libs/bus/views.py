"""Control views: compacted topics held in memory, and known to be whole before a service says it is ready."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from contracts.record import StateRecord
from contracts.topic import Topic
from libs.bus.dead_letters import DeadLetters
from libs.bus.follower import Follower
from libs.bus.records import DeadLetter, Deleted, Received
from libs.bus.settings import BusSettings
from libs.bus.signing import NOBODY, Mark, Signer, Trust

log = structlog.get_logger()

S = TypeVar("S", bound=StateRecord)


class View(Generic[S]):
    """The newest record of each key of one topic. It changes between two awaits only.

    On a signed topic a record that is older than what its key had is refused: nobody brings a state back by
    publishing its signed record again.
    """

    def __init__(self, topic: Topic[S], on_change: Callable[[str, S | None], None] | None = None) -> None:
        """
        Args:
            topic: a compacted topic.
            on_change: given each new record, and None for a key that ends.
        """
        self.topic = topic
        self.entries: dict[str, S] = {}
        self.marks: dict[str, Mark] = {}
        """On a signed topic: of the newest record of each key, deletions included."""
        self.disputed: set[str] = set()
        """Keys whose newest record on the log cannot be read or believed; entries are the last good ones."""
        self._on_change = on_change

    def get(self, key: str) -> S | None:
        """The record of a key, if there is one."""
        return self.entries.get(key)

    def version(self, key: str) -> int:
        """Of a key's newest record; 0 where there is none, or the topic is not signed."""
        mark = self.marks.get(key)
        return mark.version if mark else 0

    def stands(self, key: str, record: S, signer: Signer | None) -> bool:
        """The newest record of a key on the log is this one, signed with the key that signs now."""
        mark = self.marks.get(key)
        signed = self.topic.signed_by is None or (mark and signer and mark.public_key == signer.public_key)
        return bool(signed) and key not in self.disputed and self.get(key) == record

    def apply(self, key: str, record: S | None, mark: Mark | None = None) -> bool:
        """Takes in the newest record of a key, or its end. False: it is older than what is here."""
        if mark:
            if mark.version < self.version(key):
                return False
            self.marks[key] = mark
        self.disputed.discard(key)
        if record is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = record
        if self._on_change:
            self._on_change(key, record)
        return True


class ViewReader(Follower):
    """Follows the topics of some views. A record that cannot be read or believed leaves its key the last good one."""

    def __init__(
        self,
        settings: BusSettings,
        dead_letters: DeadLetters,
        views: Sequence[View[Any]],
        trust: Trust = NOBODY,
        *,
        on_refused: Callable[[Topic[Any], str], None] | None = None,
    ) -> None:
        """
        Args:
            on_refused: given topic and key of what is not read, not believed, or older than what is known.
        """
        self._views = {view.topic.name: view for view in views}
        self._on_refused = on_refused
        partitions = [(view.topic, number) for view in views for number in range(settings.partitions_of(view.topic))]
        super().__init__(
            settings,
            dead_letters,
            partitions,
            self._changed,
            on_deleted=self._deleted,
            on_dead_letter=self._unreadable,
            trust=trust,
        )

    def _changed(self, received: Received[StateRecord]) -> None:
        self._apply(received.topic, received.record.state_key, received.record, received.mark)

    def _deleted(self, deleted: Deleted) -> None:
        self._apply(deleted.topic, deleted.key, None, deleted.mark)

    def _apply(self, topic: Topic[Any], key: str, record: StateRecord | None, mark: Mark | None) -> None:
        if not self._views[topic.name].apply(key, record, mark):
            log.error("a signed record came again after a newer one", topic=topic.name)
            self._refuse(topic, key)

    def _unreadable(self, letter: DeadLetter) -> None:
        self._refuse(letter.topic, letter.key)

    def _refuse(self, topic: Topic[Any], key: str) -> None:
        self._views[topic.name].disputed.add(key)
        if self._on_refused:
            self._on_refused(topic, key)
