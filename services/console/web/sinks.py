"""Sinks: what goes to other systems, how it does, and a backfill. The operator's."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from services.console.errors import ConsoleError
from services.console.routes.sinks import backfill
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
MOST_ALERTS = 100


@routes.get("/{space}/sinks")
async def show_sinks(visit: Visiting) -> Response:
    """The page."""
    return _sinks(visit)


@routes.post("/{space}/sinks/{name}/backfill")
async def order_backfill(visit: Visiting, name: str) -> Response:
    """Orders a backfill from a time of the form, which is UTC."""
    visit.session.check_operator()
    try:
        since = datetime.fromisoformat(visit.form.get("since")).replace(tzinfo=UTC)
    except ValueError:
        return _sinks(visit, "Choose from which time on.")
    try:
        await backfill(visit.session, name, since)
    except ConsoleError as error:
        return _sinks(visit, str(error))
    return visit.go("sinks", "backfill-ordered")


def _sinks(visit: Visit, problem: str = "") -> Response:
    visit.session.check_operator()
    sinks = visit.session.parts.sinks
    alerts = sinks.alerts()
    return visit.page(
        "sinks.html",
        400 if problem else 200,
        rows=sinks.rows(),
        alerts=alerts[:MOST_ALERTS],
        more_alerts=len(alerts) > MOST_ALERTS,
        problem=problem,
    )
