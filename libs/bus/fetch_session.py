"""What a broker remembers of one consumer's fetches (KIP-227), so that each names only what is new. Pure.

Without a session a fetch names every partition of the consumer, and so does its answer: of the thirty that a router
reads one or two have something to say. In a session the first fetch names them all, each further one those whose
offset is another than before and those that are not wanted any more, and an answer those with records or news.

A fetch and its answer come one after the other; a lost answer ends the session, because nobody knows whether the broker
counted the fetch. Source of the rules: KIP-227, "Fetch session epochs" and "incremental fetch requests".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")

NO_SESSION = 0
FIRST_EPOCH = 0
MOST_EPOCH = 2**31 - 1
NO_ERROR = 0
SESSION_NOT_FOUND = 70


@dataclass(slots=True)
class Asked(Generic[P]):
    """What a fetch says to the broker."""

    session_id: int
    epoch: int
    """0 begins a session, in place of the one that is named; other numbers count its fetches."""
    positions: dict[P, int]
    """The offset of each partition that is to be read from now on, or from another offset."""
    forgotten: list[P]
    """Not to be read any more."""


class FetchSession(Generic[P]):
    """One with one broker. `want` all that is read or `move` one partition, `ask`, and then `answered` or `lost`."""

    __slots__ = ("_epoch", "_id", "_moved", "_told", "_wanted")

    def __init__(self) -> None:
        self._id = NO_SESSION
        self._epoch = FIRST_EPOCH
        self._wanted: dict[P, int] = {}
        self._told: dict[P, int] = {}
        """What the broker has, if it has the session."""
        self._moved: set[P] | None = set()
        """Where the two may differ; None: anywhere."""

    @property
    def wanted(self) -> Mapping[P, int]:
        """The offset at which each partition goes on."""
        return self._wanted

    @property
    def told(self) -> Mapping[P, int]:
        """The offset at which the broker reads each partition, as of the last fetch."""
        return self._told

    def want(self, positions: Mapping[P, int]) -> None:
        """Reads these partitions from now on, and no others."""
        if positions != self._wanted:
            self._wanted = dict(positions)
            self._moved = None

    def move(self, partition: P, offset: int) -> None:
        """Goes on with a partition at another offset, if it is wanted."""
        if partition in self._wanted:
            self._wanted[partition] = offset
            if self._moved is not None:
                self._moved.add(partition)

    def ask(self) -> Asked[P]:
        """The next fetch."""
        wanted, told = self._wanted, self._told
        if self._epoch == FIRST_EPOCH:
            # The broker is told everything.
            told.clear()
            self._moved = None
        forgotten = [one for one in told if one not in wanted] if self._moved is None else []
        changed = wanted if self._moved is None else self._moved
        positions = {one: wanted[one] for one in changed if told.get(one) != wanted[one]}
        for one in forgotten:
            del told[one]
        told.update(positions)
        self._moved = set()
        return Asked(self._id, self._epoch, positions, forgotten)

    def answered(self, session_id: int, error_code: int) -> None:
        """The broker's answer: goes on with its session, or begins another where it has none or refuses this one."""
        if error_code == NO_ERROR and session_id != NO_SESSION:
            self._id = session_id
            self._epoch = 1 if self._epoch == MOST_EPOCH else self._epoch + 1
        elif error_code in (NO_ERROR, SESSION_NOT_FOUND):
            self._id, self._epoch = NO_SESSION, FIRST_EPOCH
        else:
            self.lost()

    def lost(self) -> None:
        """No answer came, or none that counts. The next fetch begins anew, and closes what the broker may have."""
        self._epoch = FIRST_EPOCH
