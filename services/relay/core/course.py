"""Which starts and ends of a request's attempts count: the order of ``gateway.attempts`` says it (ADR 41). Pure.

Relays may err about who is alive, and a relay that stood still may write late. What a record is worth follows from the
records before it alone, so all who read them come to the same.
"""

from dataclasses import dataclass

from contracts.attempts import Attempt, AttemptEnded, AttemptStarted


@dataclass(slots=True)
class Course:
    """Takes in the records of one request, in order; those that were read before change nothing."""

    started: AttemptStarted | None = None
    """The call that runs: of two that name the same number the first does."""
    ended: AttemptEnded | None = None
    """The first end that does not name an earlier call than that; nothing counts after it."""

    @property
    def call(self) -> int:
        """The number of the call that runs."""
        return self.started.call if self.started else 0

    def take(self, record: Attempt) -> None:
        """The next record."""
        if self.ended is not None:
            return
        if isinstance(record, AttemptStarted):
            if self.started is None or record.call > self.call:
                self.started = record
        elif record.call >= self.call:
            self.ended = record

    def runs(self, relay_id: str, call: int) -> bool:
        """This call of this relay is the one that runs."""
        started = self.started
        return self.ended is None and started is not None and (started.relay_id, started.call) == (relay_id, call)
