"""Home: what is left, what was spent, how requests went, and how to send one."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from libs.policy.rules import daily_limit
from services.console.core.charts import Chart, bars
from services.console.core.cursors import Slice
from services.console.core.limit_use import LimitUse
from services.console.core.snippets import model_of, snippets
from services.console.errors import NotFound
from services.console.routes.limits import uses_of
from services.console.session import connected, origin, parts_of
from services.console.store import (
    alert_mails,
    credit,
    invitations,
    limits,
    policies,
    requests,
    sessions,
    usage,
)
from services.console.store.invitations import Invitation
from services.console.store.requests import Filters
from services.console.store.usage import By, UsageRow
from services.console.web.limits import members_of
from services.console.web.pages import money
from services.console.web.people import emails_in
from services.console.web.visits import ALL_SCOPES, COOKIE, SignInFirst, Visit, Visiting

routes = APIRouter()
DAYS = 30
LIMITS = 4


@routes.get("/")
async def front_door(request: Request) -> Response:
    """To the home of who is signed in."""
    parts, token = parts_of(request), request.cookies.get(COOKIE, "")
    async with connected(parts) as connection:
        address = origin(request, parts)
        actor = await sessions.find(connection, token, parts.operator_token, address, ALL_SCOPES)
    if actor is None:
        raise SignInFirst
    return RedirectResponse("/all/home" if actor.operator else "/me/home", 303)


@routes.get("/{space}/home")
async def home(visit: Visiting) -> Response:
    """The page."""
    call, whose = visit.session, visit.whose
    since = _since(DAYS)
    days = await usage.report(
        call.connection, By.DAY, usage.span(since, None), owner=whose.owner, account_id=whose.account_id
    )
    newest = await requests.rows(call.connection, whose, Filters(since=since), Slice(5))
    spent_today, limit = await _limit(visit)
    used = await _limits(visit)
    shown = [*(one.account_id for one in newest), *members_of(used)]
    model = model_of((one.model for one in newest), call.parts.catalog.offers)
    return visit.page(
        "home.html",
        invitations=await _invitations(visit),
        mails=await _mails(visit),
        balance=await credit.balance_of(call.connection, whose.owner) if whose.owner else None,
        days=days,
        chart=chart(days, DAYS),
        totals=_totals(days),
        speed=await requests.speed(call.connection, whose),
        newest=newest[:5],
        spent_today=spent_today,
        limit=limit,
        limits=used,
        names=await emails_in(call.connection, visit.space.owner, shown),
        snippets=snippets(call.parts.gateway_url, model, visit.owner.organization_id if visit.space.owner else None),
    )


async def _mails(visit: Visit) -> bool | None:
    """Whether one is notified of alerts by mail; None where nobody is."""
    account_id = visit.session.actor.account_id
    if visit.space.organization or account_id is None or not visit.session.parts.mails:
        return None
    return await alert_mails.wanted(visit.session.connection, account_id)


async def _invitations(visit: Visit) -> list[Invitation]:
    account_id = visit.session.actor.account_id
    if visit.space.organization or account_id is None:
        return []
    return await invitations.of_account(visit.session.connection, account_id, Slice(20))


def chart(days: list[UsageRow], length: int) -> Chart | None:
    """Spending by day; requests where nothing was spent."""
    by_day = {row.day: row for row in days}
    today = datetime.now(UTC).date()
    span = [today - timedelta(days=back) for back in reversed(range(length))]
    spent = any(row.cost_microdollars for row in days)
    points = []
    for day in span:
        row = by_day.get(day)
        cost, requests_ = (row.cost_microdollars, row.requests) if row else (0, 0)
        points.append(
            (day.isoformat(), cost if spent else requests_, money(cost) if spent else f"{requests_:,} requests")
        )
    return bars(points)


def _since(days: int) -> datetime:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days - 1)


def _totals(days: list[UsageRow]) -> dict[str, int]:
    names = ("requests", "completed", "input_tokens", "output_tokens", "cost_microdollars")
    return {name: sum(getattr(row, name) for row in days) for name in names}


async def _limits(visit: Visit) -> list[LimitUse]:
    """Those whose use is known, the fullest first."""
    if visit.space.owner is None:
        return []
    current = await limits.current(visit.session.connection, visit.owner.name)
    rows = [one for one in await uses_of(visit.session, current, visit.space.role) if one.used is not None]
    return sorted(rows, key=lambda one: one.percent or 0, reverse=True)[:LIMITS]


async def _limit(visit: Visit) -> tuple[int | None, int | None]:
    """What the member has spent today, and may; None where there is no limit."""
    account_id = visit.session.actor.account_id
    if not visit.space.organization or account_id is None:
        return None, None
    organization_id = visit.owner.id
    try:
        current = await policies.current(visit.session.connection, organization_id)
    except NotFound:
        return None, None
    limit = daily_limit(current.rules(organization_id), account_id)
    return await usage.spent_today(visit.session.connection, organization_id, account_id), limit
