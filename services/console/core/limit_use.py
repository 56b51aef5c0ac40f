"""How much of each limit is used. Pure: limits, what was counted and the time come in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from contracts.limits import LimitsSet, MeterSaved, Scope
from libs.config.gateway import Limits
from libs.limits.catalog import METERS, Meter, Window, shown_amount
from services.console.answers import time_of

MEMBER_DAY = "usd_per_day"
"""Of members it is counted by the ledger, from midnight, and not by meters."""
MOST_OWNERS = 5_000
"""Whose use is looked at for one page."""
_UNSAVED = (None, Window.MINUTE)
"""Windows that only the limiter's memory has: what is in flight, and the last 60 seconds."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit, and what was used of it."""

    scope: str
    """As it is written: ``all``, ``team:core``, ``member`` (each)."""
    limit: str
    most: int
    by_operator: bool
    used: int | None
    """None: not known here, because only the limiter's memory has it, or not to be seen."""
    of: str | None
    """Of a limit for each: who has used the most."""
    resets_at: datetime | None

    @property
    def most_shown(self) -> str | int:
        """As it is written."""
        return shown_amount(METERS[self.limit], self.most)

    @property
    def used_shown(self) -> str | int | None:
        """In the same unit."""
        return None if self.used is None else shown_amount(METERS[self.limit], self.used)

    @property
    def percent(self) -> int | None:
        """Of the limit; 100 where there is nothing left."""
        if self.used is None:
            return None
        return 100 if self.used >= self.most else 100 * self.used // self.most


@dataclass(frozen=True, slots=True)
class _Limited:
    """One limit as it was set."""

    scope: Scope
    name: str | None
    meter: Meter
    most: int
    by_operator: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of an owner's use, and to whom it is shown."""

    saved: Mapping[str, MeterSaved]
    """By scope."""
    spent_today: Mapping[str, int]
    """Microdollars by member, of those that are limited by name and of who spent the most."""
    now_ms: int
    only: str | None = None
    """A member, who sees what it has used itself, and what all have; None: all."""

    def of(self, limit: _Limited, *, organization: bool) -> dict[str, int]:
        """Who has used how much of a limit; empty where that is not known, or not to be seen."""
        scope, name, meter = limit.scope, limit.name, limit.meter
        seen = self.only is None or scope is Scope.ALL or (scope is Scope.MEMBER and name in (None, self.only))
        if not seen or meter.window in _UNSAVED:
            return {}
        if scope is Scope.ALL:
            return {"": self._counted(self.saved.get("organization" if organization else "account"), meter)}
        wanted = name or (self.only if scope is Scope.MEMBER else None)
        if scope is Scope.MEMBER and meter.name == MEMBER_DAY:
            found = {wanted: self.spent_today.get(wanted, 0)} if wanted else dict(self.spent_today)
        elif wanted:
            found = {wanted: self._counted(self.saved.get(f"{scope.value} {wanted}"), meter)}
        else:
            prefix = f"{scope.value} "
            found = {
                one.removeprefix(prefix): self._counted(saved, meter)
                for one, saved in self.saved.items()
                if one.startswith(prefix)
            }
        return found or {"": 0}

    def _counted(self, saved: MeterSaved | None, meter: Meter) -> int:
        assert meter.window
        start_ms = meter.window.start_ms(self.now_ms)
        return sum(
            one.used for one in (saved.counted if saved else ()) if (one.meter, one.start_ms) == (meter.name, start_ms)
        )


def uses(limits: LimitsSet, operator: Limits, counts: Counts) -> list[LimitUse]:
    """All limits of an owner: its own, then the operator's."""
    organization = limits.owner.startswith("org:")
    own = sorted(limits.limits, key=lambda one: (one.scope is not Scope.ALL, one.scope, one.name or ""))
    of_owner = [_Limited(one.scope, one.name, meter, most, False) for one in own for meter, most in _known(one.meters)]
    of_operator = [
        _Limited(scope, None, meter, most, True)
        for scope, meters in _operators(operator, organization=organization)
        for meter, most in _known(meters)
    ]
    return [
        _use(limit, counts.of(limit, organization=organization), counts.now_ms) for limit in (*of_owner, *of_operator)
    ]


def _known(meters: Mapping[str, int]) -> list[tuple[Meter, int]]:
    """Without those of a newer program."""
    return [(METERS[name], most) for name, most in meters.items() if name in METERS]


def fullest(
    operator: Limits, counted: Mapping[str, Mapping[str, MeterSaved]], now_ms: int, most: int
) -> list[tuple[str, LimitUse]]:
    """Of all owners, those that have used most of what the operator allows each, with that limit.

    Args:
        counted: what was saved of each owner, by scope.
    """
    found = [
        (owner, one)
        for owner, of_owner in islice(counted.items(), MOST_OWNERS)
        for one in uses(LimitsSet(owner=owner, version=1), operator, Counts(of_owner, {}, now_ms))
        if one.used
    ]
    return sorted(found, key=lambda pair: (-(pair[1].percent or 0), pair[0]))[:most]


def set_by_operator(limits: Limits) -> list[tuple[Scope | str, Meter, int]]:
    """What the operator allows each: the scope, the meter, and the most."""
    owners = (("account", limits.account), ("organization", limits.organization))
    scopes = [pair for pair in _operators(limits, organization=True) if pair[0] is not Scope.ALL]
    return [(scope, meter, most) for scope, meters in (*owners, *scopes) for meter, most in _known(meters)]


def _operators(limits: Limits, *, organization: bool) -> Iterable[tuple[Scope, Mapping[str, int]]]:
    yield Scope.ALL, limits.organization if organization else limits.account
    if organization:
        yield Scope.MEMBER, limits.member
        yield Scope.TEAM, limits.team
    yield Scope.KEY, limits.key
    yield Scope.MODEL, limits.model
    yield Scope.KEY_MODEL, limits.key_model


def _use(limit: _Limited, amounts: Mapping[str, int], now_ms: int) -> LimitUse:
    name, meter = limit.name, limit.meter
    of, used = max(amounts.items(), key=lambda pair: pair[1]) if amounts else ("", None)
    return LimitUse(
        scope=f"{limit.scope.value}:{name}" if name else limit.scope.value,
        limit=meter.name,
        most=limit.most,
        by_operator=limit.by_operator,
        used=used,
        of=(of or None) if name is None and used else None,
        resets_at=None if meter.window in _UNSAVED else time_of(meter.window.end_ms(now_ms)),
    )
