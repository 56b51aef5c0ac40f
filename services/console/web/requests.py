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
from services.console.core.timeline import given_back, timeline
from services.console.errors import Away, BadInput, NotFound
from services.console.paging import page_of, slice_of
from services.console.parts import Parts
from services.console.session import connected
from services.console.store import requests
from services.console.store.requests import Filters, Whose
from services.console.web.pages import SECURITY_HEADERS, fragment
from services.console.web.visits import Visiting

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
    span: Text = "7d",
    cursor: Text = "",
) -> Response:
    """The page."""
    chosen = {
        "model": model,
        "outcome": outcome,
        "key": key,
        "member": member,
        "tag": tag,
        "customer": customer,
    }
    filters = Filters(**{name: value or None for name, value in chosen.items()}, since=_since(span))
    try:
        found = await requests.rows(visit.session.connection, visit.whose, filters, slice_of(ROWS, cursor))
    except ValueError:
        raise BadInput("`cursor` is not one of this list") from None
    rows, more = page_of(found, ROWS)
    return visit.page(
        "requests.html",
        rows=rows,
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
    rows = _rows(parts, visit.whose, visit.space.name, request, after_ms)
    return StreamingResponse(rows, media_type="text/event-stream", headers=SECURITY_HEADERS)


async def _rows(parts: Parts, whose: Whose, space: str, request: Request, after_ms: int) -> AsyncIterator[str]:
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
            for row in reversed(found):
                if row.request_id not in seen:
                    text = " ".join(fragment("request_row.html", row=row, space=space, fresh=True).splitlines())
                    yield f"id: {asked_ms}\ndata: {text}\n\n"
            seen.update(row.request_id for row in found)
            yield f": nothing more\nid: {asked_ms}\n\n"
            await asyncio.sleep(TAIL_EVERY_S)
    finally:
        parts.tails.discard(mine)


@routes.get("/{space}/requests/{request_id}")
async def show_request(visit: Visiting, request_id: UUID) -> Response:
    """One request: what was asked of whom, how it ended, what it cost."""
    found = await requests.find(visit.session.connection, visit.whose, request_id)
    if found is None:
        raise NotFound(
            "there is no such request in the books, or it is not yours; one that still runs is entered when it ends"
        )
    accepted_ms, ended_ms = (int(at.timestamp() * 1000) for at in (found.accepted_at, found.ended_at))
    verdicts = await visit.session.parts.verdicts.find(str(request_id), found.owner, accepted_ms, ended_ms)
    return visit.page(
        "request.html",
        row=found,
        steps=timeline(found.accepted_at, found.ended_at, found.posted_at, found.outcome, found.provider_id, verdicts),
        policy=verdicts.policy[1] if verdicts.policy else None,
        quota=verdicts.quota[1] if verdicts.quota else None,
        given_back=given_back(found.reserved_microdollars, found.cost_microdollars),
    )


def _since(span: str) -> datetime:
    return datetime.now(UTC) - SPANS.get(span, SPANS["7d"])
