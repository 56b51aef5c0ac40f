"""Is a record poison, or is its handler broken? Pure.

A handler that fails on one record while it succeeds with others of the topic has met poison. One that fails on one
record after the other is itself suspected: what it fails on is kept and tried again, not given up.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

FEW = 3
"""So many different records in a row, without a success between them, are no accident."""
MOST_ROUNDS = 16
"""After so many more are not tried in one round: they are all that is kept."""


class Suspicion(Generic[T]):
    """Judges one topic's records, in rounds: each record that is there is tried once, in order.

    A round goes on after a failure, so that a success can prove the handler good; it stops at twice as many failures in
    a row as the round before, so that a broken handler costs little.
    """

    def __init__(self) -> None:
        self.rounds = 0
        """Rounds without a success since the handler has been suspected; 0: it is not."""
        self._given_up = 0
        """Records called poison since the last success."""
        self._failed: list[T] = []

    @property
    def tries(self) -> bool:
        """The round goes on: the next record is to be tried."""
        return len(self._failed) < FEW << min(self.rounds, MOST_ROUNDS)

    def failed(self, record: T) -> None:
        """The handler failed on a record."""
        self._failed.append(record)

    def succeeded(self) -> list[T]:
        """The handler succeeded with a record. Returns those that are poison: on which it failed before."""
        poison, self._failed = self._failed, []
        self.rounds = self._given_up = 0
        return poison

    def ends(self, untried: Iterable[T]) -> tuple[list[T], list[T]]:
        """The round is over.

        Args:
            untried: the records that came after it had stopped.

        Returns:
            Those that are poison, and those to try again in the next round, in order.
        """
        failed, self._failed = self._failed, []
        again = [*failed, *untried]
        if not again:
            return [], []
        if not self.rounds and self._given_up + len(failed) < FEW:
            self._given_up += len(failed)
            return again, []
        self.rounds += 1
        return [], again
