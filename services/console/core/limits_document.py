"""Limits and teams as people write them, and as they are stored. Pure.

A scope is written ``all``, ``member``, ``member:acct_…``, ``team:core``, ``key``, ``key:<fingerprint>``, ``model``,
``model:openai/gpt-5.2``, ``key-model``, ``key-model:<fingerprint>/<model>``, ``tag:nightly`` or ``customer:c1``;
without a name it is for each, which there is not of tags and customers.
"""

import re
from collections.abc import Mapping
from typing import Any

from contracts.labels import MOST_CUSTOMER, MOST_TAG
from contracts.limits import Limit, LimitsSet, Scope
from libs.limits.catalog import METERS, parse_amount, shown_amount
from services.console.errors import BadInput, Conflict, NotFound

MOST_LIMITS = 500
MOST_TEAMS = 100
MOST_TEAM_MEMBERS = 1_000
TEAM = r"^[a-z0-9][a-z0-9._-]{0,39}$"
_NAMES = {
    Scope.MEMBER: r"acct_[0-9a-f]{20}",
    Scope.TEAM: TEAM.strip("^$"),
    Scope.KEY: r"[0-9a-f]{16}",
    Scope.MODEL: r"[^\s]{1,200}",
    Scope.KEY_MODEL: r"[0-9a-f]{16}/[^\s]{1,200}",
    Scope.TAG: rf"[^\x00-\x1f]{{1,{MOST_TAG}}}",
    Scope.CUSTOMER: rf"[^\x00-\x1f]{{1,{MOST_CUSTOMER}}}",
}
_BY_NAME_ALONE = (Scope.TAG, Scope.CUSTOMER)
_OF_ORGANIZATIONS = (Scope.MEMBER, Scope.TEAM)
Meters = dict[str, int]
Amount = str | int


def team_name(text: str) -> str:
    """A name that a team may have. Raises BadInput."""
    if not re.fullmatch(TEAM, text):
        raise BadInput("a team's name has lower-case letters, digits, `.`, `_` and `-`; at most 40")
    return text


def changed(current: LimitsSet, scope: str, meters: Mapping[str, Amount | None]) -> LimitsSet:
    """The next version, with these limits of one scope; None takes one away.

    Raises:
        BadInput: no such scope, meter or amount; or more limits than an owner may have.
        NotFound: no such team.
    """
    kind, name = _scope(scope, organization=current.owner.startswith("org:"))
    if kind is Scope.TEAM and name is not None and name not in current.teams:
        raise NotFound(f"there is no team {name!r}; `sluice org team list` shows those that there are")
    new: Meters = dict(current.meters(kind, name))
    for meter, amount in meters.items():
        try:
            new.pop(meter, None) if amount is None else new.update({meter: parse_amount(meter, amount)})
        except ValueError as error:
            raise BadInput(str(error)) from None
    others = [limit for limit in current.limits if (limit.scope, limit.name) != (kind, name)]
    limits = [*others, Limit(scope=kind, name=name, meters=new)] if new else others
    if len(limits) > MOST_LIMITS:
        raise BadInput(f"an owner may limit at most {MOST_LIMITS} scopes")
    return _next(current, limits=limits)


def renamed(current: LimitsSet, old: str, new: str | None) -> LimitsSet | None:
    """The next version, in which a key's limits are another's, or (None) nobody's; None where it has none."""
    limits: list[Limit] = []
    for limit in current.limits:
        fingerprint, _, model = (limit.name or "").partition("/")
        if limit.scope not in (Scope.KEY, Scope.KEY_MODEL) or fingerprint != old:
            limits.append(limit)
        elif new:
            limits.append(limit.model_copy(update={"name": f"{new}/{model}" if model else new}))
    return _next(current, limits=limits) if limits != current.limits else None


def with_team(current: LimitsSet, team: str, members: list[str]) -> LimitsSet:
    """The next version, in which a team has these members.

    Raises:
        BadInput: there are more teams, or members, than there may be.
    """
    teams = {**current.teams, team: members}
    if len(teams) > MOST_TEAMS or len(members) > MOST_TEAM_MEMBERS:
        raise BadInput(f"at most {MOST_TEAMS} teams of at most {MOST_TEAM_MEMBERS} members")
    return _next(current, teams=teams)


def without_team(current: LimitsSet, team: str) -> LimitsSet:
    """The next version, without a team. Raises Conflict where it has limits: they would hold for nobody, unseen."""
    if current.meters(Scope.TEAM, team):
        raise Conflict(f"the team {team!r} has limits; take them away first")
    return _next(current, teams={name: members for name, members in current.teams.items() if name != team})


def without_member(current: LimitsSet, account_id: str) -> LimitsSet | None:
    """The next version, in which an account is in no team; None where it was in none."""
    teams = {name: [one for one in members if one != account_id] for name, members in current.teams.items()}
    return _next(current, teams=teams) if teams != current.teams else None


def shown(current: LimitsSet) -> dict[str, dict[str, Amount]]:
    """The limits by scope, as they were written."""
    return {
        f"{limit.scope.value}:{limit.name}" if limit.name else limit.scope.value: {
            meter: shown_amount(METERS[meter], amount) for meter, amount in limit.meters.items() if meter in METERS
        }
        for limit in sorted(current.limits, key=lambda limit: (limit.scope.value, limit.name or ""))
    }


def _scope(text: str, *, organization: bool) -> tuple[Scope, str | None]:
    kind, colon, name = text.partition(":")
    known = [one.value for one in Scope if organization or one not in _OF_ORGANIZATIONS]
    if kind not in known:
        raise BadInput(f"a scope is {', '.join(known)}, or one of them by name as in `model:openai/gpt-5.2`")
    scope = Scope(kind)
    if scope in _NAMES and colon and re.fullmatch(_NAMES[scope], name):
        return scope, name
    if colon:
        raise BadInput(f"there is no {kind} of this name: {name[:60]!r}")
    if scope in _BY_NAME_ALONE:
        raise BadInput(f"clients name as many as they like: a limit is for one, as in `{kind}:nightly`")
    return scope, None


def _next(current: LimitsSet, **changes: Any) -> LimitsSet:
    return LimitsSet(
        **{"owner": current.owner, "limits": current.limits, "teams": current.teams}
        | changes
        | {"version": current.version + 1}
    )
