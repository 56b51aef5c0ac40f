"""What is known of sinks, and what operators order of them. See docs/sinks.md."""

from typing import Annotated, Literal

from pydantic import Field

from .record import EpochMs, StateRecord

SinkName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Count = Annotated[int, Field(ge=0)]
SILENT_MS = 30_000
"""A process that has not reported for so long does not run."""
SinkCondition = Literal["running", "retrying", "paused", "starting"]
"""``retrying``: its receiver takes nothing, and records wait on the log. ``paused``: it refuses one after the other."""


class SinkReported(StateRecord):
    """``sinks.states.v1``: how a sink does in one process, as that process says every few seconds."""

    sink: SinkName
    process: str
    kind: str
    records: list[str]
    """What it receives: ``usage``, ``charges``, ``credit``, ``alerts``."""
    group: str
    """Its consumer group now: another one after each backfill."""
    condition: SinkCondition
    lag: Count
    """Records on the log that it has not taken yet, in the partitions of this process."""
    delivered: Count = 0
    """In the life of this process, as the following ones."""
    dead_letters: Count = 0
    failures: Count = 0
    """Attempts that failed and were, or will be, made again."""
    last_error: Annotated[str, Field(max_length=300)] = ""
    last_delivered_at_ms: EpochMs = 0
    reported_at_ms: EpochMs

    @property
    def state_key(self) -> str:
        return f"{self.sink}/{self.process}"

    def silent(self, now_ms: int) -> bool:
        """Its process has said nothing for so long that it is taken for gone."""
        return now_ms - self.reported_at_ms > SILENT_MS


class SinkBackfillOrdered(StateRecord):
    """``sinks.backfills.v1``: a sink is to be given all records since a time once more. The newest counts."""

    sink: SinkName
    from_ms: EpochMs
    number: EpochMs
    """When it was ordered: part of the name of the consumer group that reads from there."""
    ordered_by: Annotated[str, Field(max_length=200)]

    @property
    def state_key(self) -> str:
        return self.sink
