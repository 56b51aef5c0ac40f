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


def uses(
    limits: LimitsSet,
    operator: Limits,
    counted: Mapping[str, MeterSaved],
    spent_today: Mapping[str, int],
    now_ms: int,
    *,
    only: str | None = None,
) -> list[LimitUse]:
    """All limits of an owner: its own, then the operator's.

    Args:
        counted: what was saved of the owner, by scope.
        spent_today: microdollars by member, of those that are limited by name and of who spent the most.
        only: a member, who sees what it has used itself, and what all have; None: all.
    """
    organization = limits.owner.startswith("org:")
    found = [
        _use(one.scope, one.name, meter, most, False, organization, counted, spent_today, now_ms, only)
        for one in sorted(limits.limits, key=lambda one: (one.scope is not Scope.ALL, one.scope, one.name or ""))
        for meter, most in one.meters.items()
        if meter in METERS
    ]
    found += [
        _use(scope, None, meter, most, True, organization, counted, spent_today, now_ms, only)
        for scope, meters in _operators(operator, organization=organization)
        for meter, most in meters.items()
        if meter in METERS
    ]
    return found


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
        for one in uses(LimitsSet(owner=owner, version=1), operator, of_owner, {}, now_ms)
        if one.used
    ]
    return sorted(found, key=lambda pair: (-(pair[1].percent or 0), pair[0]))[:most]


def set_by_operator(limits: Limits) -> list[tuple[Scope | str, Meter, int]]:
    """What the operator allows each: the scope, the meter, and the most."""
    owners = (("account", limits.account), ("organization", limits.organization))
    scopes = [pair for pair in _operators(limits, organization=True) if pair[0] is not Scope.ALL]
    return [
        (scope, METERS[name], most)
        for scope, meters in (*owners, *scopes)
        for name, most in meters.items()
        if name in METERS
    ]


def _operators(limits: Limits, *, organization: bool) -> Iterable[tuple[Scope, Mapping[str, int]]]:
    yield Scope.ALL, limits.organization if organization else limits.account
    if organization:
        yield Scope.MEMBER, limits.member
        yield Scope.TEAM, limits.team
    yield Scope.KEY, limits.key
    yield Scope.MODEL, limits.model
    yield Scope.KEY_MODEL, limits.key_model


def _use(
    scope: Scope,
    name: str | None,
    meter: str,
    most: int,
    by_operator: bool,
    organization: bool,
    counted: Mapping[str, MeterSaved],
    spent_today: Mapping[str, int],
    now_ms: int,
    only: str | None,
) -> LimitUse:
    known = METERS[meter]
    seen = only is None or scope is Scope.ALL or (scope is Scope.MEMBER and name in (None, only))
    amounts: dict[str, int] = {}
    if seen and known.window not in _UNSAVED:
        wanted = name or (only if scope is Scope.MEMBER else None)
        if scope is Scope.MEMBER and meter == MEMBER_DAY:
            amounts = {wanted: spent_today.get(wanted, 0)} if wanted else dict(spent_today)
        elif scope is Scope.ALL:
            amounts = {"": _counted(counted.get("organization" if organization else "account"), known, now_ms)}
        elif wanted:
            amounts = {wanted: _counted(counted.get(f"{scope.value} {wanted}"), known, now_ms)}
        else:
            prefix = f"{scope.value} "
            amounts = {
                one.removeprefix(prefix): _counted(saved, known, now_ms)
                for one, saved in counted.items()
                if one.startswith(prefix)
            }
        amounts = amounts or {"": 0}
    of, used = max(amounts.items(), key=lambda pair: pair[1]) if amounts else ("", None)
    return LimitUse(
        scope=f"{scope.value}:{name}" if name else scope.value,
        limit=meter,
        most=most,
        by_operator=by_operator,
        used=used,
        of=(of or None) if name is None and used else None,
        resets_at=_end(known, now_ms),
    )


def _counted(saved: MeterSaved | None, meter: Meter, now_ms: int) -> int:
    assert meter.window
    start_ms = meter.window.start_ms(now_ms)
    return sum(
        one.used for one in (saved.counted if saved else ()) if (one.meter, one.start_ms) == (meter.name, start_ms)
    )


def _end(meter: Meter, now_ms: int) -> datetime | None:
    if meter.window in _UNSAVED:
        return None
    return time_of(meter.window.end_ms(now_ms))
