"""Operator: dead letters, and versions of the configuration."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from contracts.services import OPERATOR
from services.console.errors import ConsoleError
from services.console.paging import page_of, slice_of
from services.console.routes.catalog import changed_by, roll_back
from services.console.routes.dead_letters import found, resolve, shown
from services.console.store import catalog
from services.console.web.requests import SPANS
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
ROWS = 50
MOST_CHANGES = 300
Text = Annotated[str, Query(max_length=200)]
Version = Annotated[int, Path(ge=1, lt=2**31)]


@routes.get("/{space}/dead-letters")
async def list_dead_letters(visit: Visiting, topic: Text = "", span: Text = "7d", cursor: Text = "") -> Response:
    """The page."""
    return await _letters(visit, topic, span, cursor)


@routes.get("/{space}/dead-letters/{topic}/{partition}/{offset}")
async def show_dead_letter(visit: Visiting, topic: str, partition: int, offset: int) -> Response:
    """One letter: what is known of it, never what is in its record."""
    visit.session.check_operator()
    letter = await visit.session.parts.dead_letters.get(f"{topic}/{partition}/{offset}")
    return visit.page("dead_letter.html", letter=shown(letter))


@routes.post("/{space}/dead-letters/{topic}/{partition}/{offset}/{action}")
async def resolve_dead_letter(
    visit: Visiting, topic: str, partition: int, offset: int, action: Literal["retry", "drop"]
) -> Response:
    """Publishes its record again, or marks it done."""
    visit.session.check_operator()
    try:
        done = await resolve(visit.session, f"{topic}/{partition}/{offset}", action)
    except ConsoleError as error:
        return await _letters(visit, problem=str(error))
    said = {"retried": "letter-retried", "dropped": "letter-dropped", "done before": "letter-done"}[done.result]
    return visit.go("dead-letters", said)


async def _letters(visit: Visit, topic: str = "", span: str = "7d", cursor: str = "", problem: str = "") -> Response:
    visit.session.check_operator()
    since = datetime.now(UTC) - SPANS.get(span, timedelta(days=7))
    away = ""
    try:
        rows = await found(visit.session, slice_of(ROWS, cursor), topic or None, since, everything=False)
    except ConsoleError as error:
        rows, away = [], str(error)
    page, more = page_of(rows, ROWS)
    return visit.page(
        "dead_letters.html",
        400 if problem else 200,
        rows=page,
        more=more,
        topic=topic,
        topics=sorted(one.name for one in OPERATOR.republishes),
        span=span,
        spans=list(SPANS),
        away=away,
        problem=problem,
    )


@routes.get("/{space}/configuration")
async def list_versions(visit: Visiting, cursor: Text = "") -> Response:
    """The page: all versions."""
    visit.session.check_operator()
    rows, more = page_of(await catalog.history(visit.session.connection, slice_of(ROWS, cursor)), ROWS)
    newest = await catalog.newest(visit.session.connection)
    return visit.page("configuration.html", rows=rows, more=more, holds=newest.version if newest else 0)


@routes.get("/{space}/configuration/{version}")
async def show_version(visit: Visiting, version: Version) -> Response:
    """One version: what it changed, and what bringing it back would change."""
    return await _version(visit, version)


@routes.post("/{space}/configuration/{version}/rollback")
async def bring_back(visit: Visiting, version: Version) -> Response:
    """Makes a former version the next one, if the one that was seen still holds."""
    visit.session.check_operator()
    holds = visit.form.get("holds")
    try:
        await roll_back(visit.session, version, int(holds) if holds.isdecimal() and len(holds) < 10 else 0)
    except ConsoleError as error:
        return await _version(visit, version, str(error))
    return visit.go("configuration", "rolled-back")


async def _version(visit: Visit, version: int, problem: str = "") -> Response:
    call = visit.session
    call.check_operator()
    made = await changed_by(call, version, None)
    newest = await catalog.newest(call.connection)
    holds = newest.version if newest else version
    back = await changed_by(call, version, holds) if holds != version else None
    return visit.page(
        "configuration_version.html",
        400 if problem else 200,
        version=version,
        made=made.changes[:MOST_CHANGES],
        made_more=max(0, len(made.changes) - MOST_CHANGES),
        back=back.changes[:MOST_CHANGES] if back else None,
        back_more=max(0, len(back.changes) - MOST_CHANGES) if back else 0,
        holds=holds,
        problem=problem,
    )
