"""Limits with their use, and an organization's teams."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.responses import Response

from contracts.clock import now_ms
from contracts.limits import LimitsSet, Scope
from libs.limits.catalog import METERS, shown_amount
from services.console.core import limits_document as documents
from services.console.core.authorization import Action
from services.console.core.limit_use import LimitUse, fullest, set_by_operator
from services.console.errors import Away, BadInput, ConsoleError, NotFound
from services.console.routes.limits import LimitsChange, change_team, create_team, delete_team, uses_of
from services.console.store import accounts, limits, organizations
from services.console.web.people import emails_in, owner_names
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
MEMBERS = 100
FULLEST = 20
_MOVED = "Somebody changed the limits meanwhile. They are shown here; make your change again."


@routes.get("/{space}/limits")
async def show_limits(visit: Visiting) -> Response:
    """The page; in everybody's space what the operator allows each."""
    if visit.space.owner is None:
        return await _operators(visit)
    return await _limits(visit)


async def _operators(visit: Visit) -> Response:
    visit.session.check_operator()
    allowed, counted = visit.session.parts.catalog.limits, visit.session.parts.meters.by_owner
    rows = [
        (scope if isinstance(scope, str) else scope.value, meter.name, shown_amount(meter, most))
        for scope, meter, most in set_by_operator(allowed)
    ]
    quotas, away = [], ""
    try:
        quotas = visit.session.parts.key_uses.rows(visit.session.parts.catalog)
    except Away as error:
        away = str(error)
    most = fullest(allowed, counted, now_ms(), FULLEST)
    return visit.page(
        "operator_limits.html",
        rows=rows,
        fullest=most,
        names=await owner_names(visit.session.connection, (owner for owner, _ in most)),
        quotas=quotas,
        away=away,
    )


@routes.post("/{space}/limits")
async def set_limit(visit: Visiting) -> Response:
    """Sets one limit, or takes it away."""
    await visit.check(Action.SET_POLICY)
    call, form = visit.session, visit.form
    current = await limits.current(call.connection, visit.owner.name, lock=True)
    if form.get("version") != str(current.version):
        return await _limits(visit, _MOVED)
    kind, name = form.get("kind"), form.get("name")
    amount = form.get("most").removeprefix("$") or None
    if amount is None and form.get("do") != "remove":
        return await _limits(visit, "Say how much: a whole number, or US dollars.")
    try:
        asked = LimitsChange.model_validate(
            {
                "scope": f"{kind}:{name}" if name else kind,
                "meters": {form.get("limit"): None if form.get("do") == "remove" else amount},
            }
        )
        new = documents.changed(current, asked.scope, asked.meters)
    except ValidationError:
        return await _limits(visit, "This limit is not right.")
    except ConsoleError as error:
        return await _limits(visit, f"This limit is not right: {error}.")
    await limits.put(call.connection, call.actor, new, "limits.set", scope=asked.scope, meters=asked.meters)
    return visit.go("limits", "limit-set")


def members_of(rows: Iterable[LimitUse]) -> list[str]:
    """Accounts that limits are of, or that have used most of one."""
    named = (one.of or one.scope.partition(":")[2] for one in rows)
    return [name for name in named if name.startswith("acct_")]


async def _limits(visit: Visit, problem: str = "") -> Response:
    await visit.check(Action.SEE)
    current = await limits.current(visit.session.connection, visit.owner.name)
    own = [one for one in Scope if visit.space.organization or one not in (Scope.MEMBER, Scope.TEAM)]
    rows = await uses_of(visit.session, current, visit.space.role)
    return visit.page(
        "limits.html",
        400 if problem else 200,
        rows=rows,
        names=await emails_in(visit.session.connection, visit.space.owner, members_of(rows)),
        version=current.version,
        scopes=own,
        meters=list(METERS),
        may_set=visit.owns or not visit.space.organization,
        problem=problem,
    )


@routes.get("/{space}/teams")
async def list_teams(visit: Visiting) -> Response:
    """The page."""
    return await _teams(visit)


@routes.post("/{space}/teams")
async def make_team(visit: Visiting) -> Response:
    """Makes a team."""
    organization_id = _organization(visit)
    await visit.check(Action.CHANGE_MEMBERS)
    try:
        name = documents.team_name(visit.form.get("team"))
        await create_team(organization_id, name, visit.session)
    except ConsoleError as error:
        return await _teams(visit, str(error))
    return visit.go(f"teams/{name}", "team-made")


@routes.post("/{space}/teams/{team}/delete")
async def end_team(visit: Visiting, team: str) -> Response:
    """Ends a team."""
    organization_id = _organization(visit)
    await visit.check(Action.CHANGE_MEMBERS)
    await delete_team(organization_id, documents.team_name(team), visit.session)
    return visit.go("teams", "team-ended")


@routes.get("/{space}/teams/{team}")
async def show_team(visit: Visiting, team: str, after: Annotated[int, Query(ge=0, le=1_000)] = 0) -> Response:
    """One team's members."""
    return await _team(visit, team, after=after)


@routes.post("/{space}/teams/{team}/members")
async def set_team_member(visit: Visiting, team: str) -> Response:
    """Puts a member into a team, or takes it out."""
    organization_id = _organization(visit)
    await visit.check(Action.CHANGE_MEMBERS)
    call, name = visit.session, documents.team_name(team)
    removed = visit.form.get("do") == "remove"
    try:
        account = visit.form.get("account")
        account_id = await organizations.member_of(call.connection, organization_id, account)
        if removed:
            await change_team(call, organization_id, name, removed=account_id)
        else:
            await change_team(call, organization_id, name, added=account_id)
    except ConsoleError as error:
        return await _team(visit, name, str(error))
    return visit.go(f"teams/{name}", "team-left" if removed else "team-joined")


def _organization(visit: Visit) -> str:
    if visit.owner.organization_id is None:
        raise BadInput("teams are an organization's")
    return visit.owner.organization_id


async def _current(visit: Visit) -> LimitsSet:
    _organization(visit)
    await visit.check(Action.SEE)
    return await limits.current(visit.session.connection, visit.owner.name)


async def _teams(visit: Visit, problem: str = "") -> Response:
    current = await _current(visit)
    rows = [(name, len(members), current.meters(Scope.TEAM, name)) for name, members in sorted(current.teams.items())]
    return visit.page("teams.html", 400 if problem else 200, rows=rows, may_change=visit.owns, problem=problem)


async def _team(visit: Visit, team: str, problem: str = "", after: int = 0) -> Response:
    current = await _current(visit)
    if team not in current.teams:
        raise NotFound("there is no such team")
    members = current.teams[team]
    shown = members[after : after + MEMBERS]
    emails = await accounts.emails(visit.session.connection, shown)
    return visit.page(
        "team.html",
        400 if problem else 200,
        team=team,
        rows=[(one, emails.get(one, one)) for one in shown],
        count=len(members),
        more=after + MEMBERS if len(members) > after + MEMBERS else 0,
        may_change=visit.owns,
        problem=problem,
    )
