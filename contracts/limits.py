"""Limits that users set (``control.limits.v1``), and what has been counted for them (``quota.meters.v1``).

Names of meters (``tokens_per_day``) are those of docs/limits.md; a reader ignores what it does not know.
"""

from functools import cached_property
from typing import Annotated

from pydantic import Field

from .record import EpochMs, StateRecord, Value, empty
from .word import Word

Amount = Annotated[int, Field(ge=0)]
"""Of requests or tokens; of money in microdollars."""


class Scope(Word):
    """By what an owner's requests are counted."""

    ALL = "all"
    """The whole account or organization."""
    MEMBER = "member"
    TEAM = "team"
    KEY = "key"
    MODEL = "model"
    KEY_MODEL = "key-model"
    """Each model of each key."""
    TAG = "tag"
    CUSTOMER = "customer"
    """The client's own, as requests name them; only those that a limit names."""


class Limit(Value):
    """The limits of one scope of an owner."""

    scope: Scope
    name: str | None = None
    """The account ID, team, key's fingerprint, model, tag or customer that it is for; of `Scope.KEY_MODEL`
    ``<fingerprint>/<model>``. None: each one for which no other limit of this meter names it."""
    meters: dict[str, Amount]
    """By meter: the most in one window."""


class LimitsSet(StateRecord):
    """``control.limits.v1``: all limits that an owner has set, and an organization's teams."""

    owner: str
    version: Annotated[int, Field(ge=1)]
    limits: list[Limit] = empty(list)
    teams: dict[str, list[str]] = empty(dict)
    """The account IDs of their members, by name."""

    @property
    def state_key(self) -> str:
        return self.owner

    @cached_property
    def _by_scope(self) -> dict[tuple[Scope, str | None], dict[str, int]]:
        return {(limit.scope, limit.name): limit.meters for limit in self.limits}

    def meters(self, scope: Scope, name: str | None = None) -> dict[str, int]:
        """The limits of one scope by that name, or those of each."""
        return self._by_scope.get((scope, name), {})


class Counted(Value):
    """What has been used in one window."""

    meter: str
    start_ms: EpochMs
    used: Amount


class MeterSaved(StateRecord):
    """``quota.meters.v1``: what one scope of an owner has used, as of its usage record at ``applied_offset``.

    Usage up to that offset is not counted again, and what comes after it is: so a restart neither loses nor doubles.
    """

    owner: str
    scope: str
    applied_offset: Annotated[int, Field(ge=-1)]
    """In the owner's partition of ``gateway.usage.v1``."""
    counted: list[Counted]

    @property
    def state_key(self) -> str:
        return f"{self.owner}/{self.scope}"

    @property
    def event_id(self) -> str:
        return f"{self.state_key}/{self.applied_offset}"
