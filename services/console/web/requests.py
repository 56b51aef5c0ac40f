"""Requests: a list with filters, a tail of what ends now, and one request's page."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from contracts.clock import now_ms
from contracts.labels import MOST_CUSTOMER
from libs.database.pool import Connection
from libs.pricing.usd import parse_usd
from services.console.errors import Away, BadInput
from services.console.paging import page_of, slice_of
from services.console.parts import Parts
from services.console.routes.requests import looked_up
from services.console.session import connected
from services.console.store import policies, requests
from services.console.store.requests import Filters, Whose
from services.console.web.pages import SECURITY_HEADERS, fragment
from services.console.web.people import account_in, emails_in
from services.console.web.visits import Space, Visiting

routes = APIRouter()
ROWS = 50
OUTCOMES = ("completed", "rejected", "failed", "cancelled", "interrupted")
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
TAIL_EVERY_S = 1.0
TAIL_FOR_S = 60.0
"""Then the browser asks again, and with it who may see what."""
TAIL_BACK = timedelta(minutes=15)
MOST_TAILS = 200
Text = Annotated[str, Query(max_length=200)]


@routes.get("/{space}/requests")
async def list_requests(
    visit: Visiting,
    model: Text = "",
    outcome: Text = "",
    key: Text = "",
    member: Text = "",
    tag: Text = "",
    customer: Annotated[str, Query(max_length=MOST_CUSTOMER)] = "",
    status: Annotated[str, Query(pattern=r"^([1-5]\d\d)?$")] = "",
    cost: Annotated[str, Query(pattern=r"^(\d{1,6}(\.\d{1,6})?)?$")] = "",
    took: Annotated[str, Query(pattern=r"^(\d{1,6}(\.\d{1,3})?)?$")] = "",
    span: Text = "7d",
    cursor: Text = "",
) -> Response:
    """The page.

    Args:
        cost: US dollars, or more.
        took: seconds, or more.
    """
    texts = {"model": model, "outcome": outcome, "key": key, "member": member, "tag": tag, "customer": customer}
    chosen = texts | {"status": status, "cost": cost, "took": took}
    asked = texts | {"member": await account_in(visit.session.connection, visit.space.owner, member)}
    filters = Filters(
        **{name: value or None for name, value in asked.items()},
        since=_since(span),
        status=int(status) if status else None,
        least_microdollars=parse_usd(cost) if cost else None,
        least_ms=round(float(took) * 1000) if took else None,
    )
    try:
        found = await requests.rows(visit.session.connection, visit.whose, filters, slice_of(ROWS, cursor))
    except ValueError:
        raise BadInput("`cursor` is not one of this list") from None
    rows, more = page_of(found, ROWS)
    return visit.page(
        "requests.html",
        rows=rows,
        names=await emails_in(visit.session.connection, visit.space.owner, (row.account_id for row in rows)),
        chosen=chosen | {"span": span},
        filtered=any(chosen.values()),
        more=more,
        first=not cursor,
        outcomes=OUTCOMES,
        spans=list(SPANS),
    )


@routes.get("/{space}/requests/live")
async def tail(
    visit: Visiting, request: Request, last_event_id: Annotated[str, Header(max_length=20)] = ""
) -> Response:
    """Rows of the table as requests end, as server-sent events (of HTML, which the console's own script puts in)."""
    parts = visit.session.parts
    if len(parts.tails) >= MOST_TAILS:
        raise Away("too many pages look at live requests; try again later")
    after_ms = min(int(last_event_id), now_ms()) if last_event_id.isdecimal() else now_ms()
    rows = _rows(parts, visit.whose, visit.space, request, after_ms)
    return StreamingResponse(rows, media_type="text/event-stream", headers=SECURITY_HEADERS)


async def _rows(parts: Parts, whose: Whose, space: Space, request: Request, after_ms: int) -> AsyncIterator[str]:
    """Those that were entered after a time; an event's ID is the time to go on from."""
    mine = object()
    parts.tails.add(mine)
    seen: set[UUID] = set()
    ends = time.monotonic() + TAIL_FOR_S
    try:
        yield f"retry: 500\nid: {after_ms}\n\n"
        while time.monotonic() < ends and not await request.is_disconnected():
            asked_ms = now_ms()
            async with connected(parts) as connection:
                found = await requests.entered(connection, whose, datetime.now(UTC) - TAIL_BACK, after_ms, ROWS)
                new = [row for row in reversed(found) if row.request_id not in seen]
                names = await emails_in(connection, space.owner, (row.account_id for row in new))
            for row in new:
                html = fragment("request_row.html", row=row, space=space.name, names=names, fresh=True)
                text = " ".join(html.splitlines())
                yield f"id: {asked_ms}\ndata: {text}\n\n"
            seen.update(row.request_id for row in found)
            yield f": nothing more\nid: {asked_ms}\n\n"
            await asyncio.sleep(TAIL_EVERY_S)
    finally:
        parts.tails.discard(mine)


@routes.get("/{space}/requests/{request_id}")
async def show_request(visit: Visiting, request_id: UUID) -> Response:
    """One request: what was asked of whom, how it ended, what it cost."""
    seen = await looked_up(visit.session, visit.whose, request_id)
    verdicts = seen.verdicts
    organization_id = seen.details.organization_id
    kept = await _kept(visit.session.connection, organization_id) if organization_id else ""
    return visit.page(
        "request.html",
        row=seen.details,
        kept=kept,
        names=await emails_in(visit.session.connection, visit.space.owner, [seen.details.account_id]),
        steps=seen.steps,
        policy=verdicts.policy[1] if verdicts.policy else None,
        quota=verdicts.quota[1] if verdicts.quota else None,
        given_back=seen.given_back_microdollars,
    )


async def _kept(connection: Connection, organization_id: str) -> str:
    """What an organization's policy keeps of requests, in its sinks; the console has none of it."""
    contents = (await policies.current(connection, organization_id)).document.get("contents") or {}
    return " and ".join(one for one in ("prompts", "answers") if contents.get(one))


def _since(span: str) -> datetime:
    return datetime.now(UTC) - SPANS.get(span, SPANS["7d"])
