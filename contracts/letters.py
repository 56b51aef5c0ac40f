"""``operator.dead-letters.v1``: what the operator did about dead letters, and who did it."""

from typing import Annotated, Literal

from pydantic import Field

from .record import EpochMs, StateRecord


class DeadLetterResolved(StateRecord):
    """A dead letter is done with. Its record may lie in the queue several times, once for each reader: they are one."""

    letter_id: str
    """``<topic>/<partition>/<offset>`` of the record that could not be handled."""
    action: Literal["retried", "dropped"]
    """``retried``: the record was published again, as it was."""
    resolved_by: Annotated[str, Field(max_length=200)]
    resolved_at_ms: EpochMs

    @property
    def state_key(self) -> str:
        return self.letter_id
