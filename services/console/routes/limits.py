"""Limits, of an account or an organization; and an organization's teams, which can have limits of their own."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import Field

from contracts.clock import now_ms
from contracts.limits import LimitsSet, Scope
from libs.limits.catalog import METERS
from services.console.answers import Answer, Body
from services.console.core import limits_document as documents
from services.console.core.authorization import Action, Role
from services.console.core.limit_use import Counts, LimitUse, uses
from services.console.editing import Match, tag
from services.console.errors import Conflict, NotFound
from services.console.session import Call, Owned, Session
from services.console.store import limits, organizations, usage

routes = APIRouter(prefix="/api", tags=["limits"])
TeamName = Annotated[str, Path(pattern=documents.TEAM, description="Lower-case letters, digits, `.`, `_` and `-`.")]
Amount = Annotated[str, Field(max_length=20)] | Annotated[int, Field(ge=0)]
Meters = Annotated[dict[Annotated[str, Field(max_length=60)], Amount | None], Field(max_length=len(METERS))]


class LimitsChange(Body):
    """Limits of one scope; what is not named stays as it is."""

    scope: Annotated[str, Field(max_length=300)]
    """``all``, ``member``, ``team``, ``key``, ``model`` or ``key-model``, with ``:<name>`` of one of them;
    ``tag:<name>`` or ``customer:<name>``."""
    meters: Meters
    """By name, as in docs/limits.md: a whole number, or US dollars as a decimal string; null takes a limit away."""


class LimitUseShown(Answer):
    """One limit, and what was used of it in the window that goes on now."""

    scope: str
    limit: str
    most: str | int
    set_by: Literal["owner", "operator"]
    used: str | int | None
    """By requests that have ended. Null: not known, because only the limiter has it (the last minute, what is in
    flight), or another's."""
    of: str | None
    """Of a limit for each: who has used the most."""
    resets_at: datetime | None


class LimitsShown(Answer):
    """All limits of an owner by scope."""

    version: int
    limits: dict[str, dict[str, str | int]]
    use: list[LimitUseShown]
    """Of these, and of the operator's, which hold besides."""


class Team(Answer):
    """Members of an organization that are limited together."""

    name: str
    members: list[str]
    """Account IDs."""


class TeamDeleted(Answer):
    """The team is no more."""

    name: str
    deleted: bool = True


@routes.get("/{kind}/{owner_id}/limits")
async def show_limits(owner: Owned, call: Call, response: Response) -> LimitsShown:
    """The limits that an owner has set, and how much of each is used; a member sees its own use."""
    role = await call.check(owner, Action.SEE)
    current = await limits.current(call.connection, owner.name)
    tag(response, current.version)
    return await _shown(call, current, role)


@routes.patch("/{kind}/{owner_id}/limits")
async def change_limits(owner: Owned, body: LimitsChange, call: Call, match: Match, response: Response) -> LimitsShown:
    """Set limits of one scope, or take them away."""
    role = await call.check(owner, Action.SET_POLICY)
    current = await limits.current(call.connection, owner.name, lock=True)
    match.check(current.version)
    new = documents.changed(current, body.scope, body.meters)
    await limits.put(call.connection, call.actor, new, "limits.set", scope=body.scope, meters=body.meters)
    tag(response, new.version)
    return await _shown(call, new, role)


async def _shown(call: Session, current: LimitsSet, role: Role | None) -> LimitsShown:
    return LimitsShown(
        version=current.version,
        limits=documents.shown(current),
        use=[
            LimitUseShown(
                scope=one.scope,
                limit=one.limit,
                most=one.most_shown,
                set_by="operator" if one.by_operator else "owner",
                used=one.used_shown,
                of=one.of,
                resets_at=one.resets_at,
            )
            for one in await uses_of(call, current, role)
        ],
    )


async def uses_of(call: Session, current: LimitsSet, role: Role | None) -> list[LimitUse]:
    """How much of each limit is used, as far as this role may see."""
    only = call.actor.account_id if role is Role.MEMBER else None
    named = [one.name for one in current.limits if one.scope is Scope.MEMBER and one.name]
    spent: dict[str, int] = {}
    if current.owner.startswith("org:"):
        wanted = [only] if only else named
        spent = await usage.spent_today_by_member(call.connection, current.owner, wanted, also_most=only is None)
    counts = Counts(call.parts.meters.of(current.owner), spent, now_ms(), only)
    return uses(current, call.parts.catalog.limits, counts)


@routes.get("/organizations/{organization_id}/teams")
async def list_teams(organization_id: str, call: Call) -> list[Team]:
    """An organization's teams; there are at most 100."""
    await call.check_organization(organization_id, Action.SEE)
    current = await limits.current(call.connection, f"org:{organization_id}")
    return [Team(name=name, members=members) for name, members in sorted(current.teams.items())]


@routes.put("/organizations/{organization_id}/teams/{team}", status_code=201)
async def create_team(organization_id: str, team: TeamName, call: Call) -> Team:
    """Make a team without members."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    current = await limits.current(call.connection, f"org:{organization_id}", lock=True)
    if team in current.teams:
        raise Conflict(f"there is a team {team!r} already")
    await limits.put(call.connection, call.actor, documents.with_team(current, team, []), "team.create", team=team)
    return Team(name=team, members=[])


@routes.delete("/organizations/{organization_id}/teams/{team}")
async def delete_team(organization_id: str, team: TeamName, call: Call) -> TeamDeleted:
    """End a team."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    current = await limits.current(call.connection, f"org:{organization_id}", lock=True)
    _members(current.teams, team)
    await limits.put(call.connection, call.actor, documents.without_team(current, team), "team.delete", team=team)
    return TeamDeleted(name=team)


@routes.put("/organizations/{organization_id}/teams/{team}/members/{account}")
async def add_team_member(organization_id: str, team: TeamName, account: str, call: Call) -> Team:
    """Put a member, named by account ID or e-mail address, into a team; one may be in several."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    account_id = await organizations.member_of(call.connection, organization_id, account)
    return await change_team(call, organization_id, team, added=account_id)


@routes.delete("/organizations/{organization_id}/teams/{team}/members/{account}")
async def remove_team_member(organization_id: str, team: TeamName, account: str, call: Call) -> Team:
    """Take a member out of a team."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    account_id = await organizations.member_of(call.connection, organization_id, account)
    return await change_team(call, organization_id, team, removed=account_id)


async def change_team(
    call: Session, organization_id: str, team: str, *, added: str | None = None, removed: str | None = None
) -> Team:
    current = await limits.current(call.connection, f"org:{organization_id}", lock=True)
    before = _members(current.teams, team)
    members = [one for one in before if one not in (added, removed)] + ([added] if added else [])
    new = documents.with_team(current, team, members)
    details = {"team": team, "added": added} if added else {"team": team, "removed": removed}
    await limits.put(call.connection, call.actor, new, "team.change", **details)
    return Team(name=team, members=members)


def _members(teams: dict[str, list[str]], team: str) -> list[str]:
    if team not in teams:
        raise NotFound(f"there is no team {team!r}; `sluice org team list` shows those that there are")
    return teams[team]
