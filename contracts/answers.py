"""``gateway.answers.v1``: answers that relays may give again. See ADR 31."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .record import EpochMs, Record, Value
from .sealed import Locator

MOST_TTL_S = 2 * 3600
"""Relays have the secrets that answers are sealed with no longer."""


class CacheUse(Value):
    """What the answer cache may do for a request."""

    ttl_s: Annotated[int, Field(ge=1, le=MOST_TTL_S)]
    """How long its answer may be given again."""
    reads: bool = True
    writes: bool = True
    max_age_s: Annotated[int, Field(ge=0)] | None = None
    """An older answer is none; None: any."""
    shared: bool = False
    """Answers of all owners who say so count, too."""
    joins: bool = False
    """A request that is the same as one that is being answered waits for its answer."""


class AnswerCached(Record):
    """An answer, sealed with a key that only whoever has the request can compute, and a secret of the relays."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    locator: Locator
    owner: str
    cached_at_ms: EpochMs
    expires_at_ms: EpochMs
    sealed: Annotated[bytes, Field(repr=False)]

    @property
    def event_subject(self) -> str:
        return self.locator

    @property
    def event_id(self) -> str:
        return f"{self.locator}/{self.cached_at_ms}"


class AnswersForgotten(Record):
    """An owner wants none of the answers given again that are cached by now."""

    owner: str
    forgotten_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.owner

    @property
    def event_id(self) -> str:
        return f"{self.owner}/{self.forgotten_at_ms}"
