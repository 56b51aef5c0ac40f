"""``gateway.idempotency.v1``: which request an ``Idempotency-Key`` stands for. See ADR 25."""

from typing import Annotated

from pydantic import Field

from .record import EpochMs, Record, RequestId, Subject
from .sealed import Locator
from .topic import DAY_MS

KEPT_MS = DAY_MS
"""How long a key stands for its request."""


class KeyClaimed(Record):
    """A request that wants to be the one of its key. It counts only where the key stands for none, or for the one that
    it supersedes: so the log is the lock, and of two that come at once the first on the log is run.
    """

    locator: Locator
    """Names the key. Whoever sends it can compute it, and nobody can compute the key from it."""
    owner: str
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Of the body: an HMAC under a key that nobody else can compute, so that no guess can be tried."""
    request_id: RequestId
    subject: Subject
    """Of the request: by it the request is found."""
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    """From there on its answer is on ``gateway.kept-replies``."""
    claimed_at_ms: EpochMs
    begins_by_ms: EpochMs
    """A request that is not on the log by then is never run: its key stands for nothing."""
    supersedes: RequestId | None = None
    """A request that was never run, or ended without costing anything."""

    @property
    def event_subject(self) -> str:
        return self.locator

    @property
    def event_id(self) -> str:
        return f"{self.locator}/{self.request_id}"
