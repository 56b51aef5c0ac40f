"""``gateway.claims.v1``: which ingress owns which partition of ``gateway.replies``.

One partition, so that all read the same order: the log decides who was first.
"""

from typing import Annotated, Literal

from pydantic import Field

from contracts.record import EpochMs, Record


class PartitionClaimed(Record):
    """A claim, its renewal, or its release. A claim that is not renewed within the lease lapses."""

    partition: Annotated[int, Field(ge=0)]
    ingress_id: str
    action: Literal["claim", "release"]
    claimed_at_ms: EpochMs
    lease_ms: Annotated[int, Field(gt=0)]
