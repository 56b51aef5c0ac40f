"""``gateway.claims.v1``: which ingress owns which partition of ``gateway.replies``.

One partition, so that all read the same order: the log decides who was first.
"""

from typing import Annotated, Literal

from pydantic import Field

from .record import EpochMs, Record


class PartitionClaimed(Record):
    """A claim, its renewal, or its release. It counts only if it supersedes the last one that counted.

    So the log itself is the lock: of two that supersede the same record the first on the log wins, and a holder that
    was superseded cannot renew.
    """

    partition: Annotated[int, Field(ge=0)]
    ingress_id: str
    action: Literal["claim", "release"]
    claimed_at_ms: EpochMs
    lease_ms: Annotated[int, Field(gt=0)]
    """Others may supersede it when they have seen no renewal for this long."""
    supersedes: Annotated[int, Field(ge=-1)] = -1
    """The offset of the last record of this partition that counted; -1 if there is none."""

    @property
    def event_subject(self) -> str:
        return self.ingress_id

    @property
    def event_id(self) -> str:
        return f"{self.ingress_id}/{self.supersedes}"
