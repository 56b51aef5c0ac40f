"""Usage: spending by day, and by model, member or key; as CSV too."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.console.store import usage
from services.console.store.usage import MOST_ROWS, By, UsageRow
from services.console.web.home import chart
from services.console.web.pages import SECURITY_HEADERS
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
SPANS = (7, 30, 90)
ROWS = 100
Days = Annotated[int, Query(ge=1, le=90)]
_SHOWN = ("requests", "completed", "input_tokens", "output_tokens", "cache_read_tokens", "usd")


@routes.get("/{space}/usage")
async def show_usage(visit: Visiting, by: By = By.MODEL, days: Days = 30) -> Response:
    """The page."""
    by_day = await _report(visit, By.DAY, days)
    rows = by_day if by is By.DAY else await _report(visit, by, days, ROWS + 1)
    most = max((row.cost_microdollars for row in rows), default=0)
    return visit.page(
        "usage.html",
        rows=rows[:ROWS],
        more=len(rows) > ROWS,
        names=[name_of(row, by) for row in rows],
        by_day=by_day,
        chart=chart(by_day, days),
        by=by,
        dimensions=list(By),
        days=days,
        spans=SPANS,
        most=most,
    )


@routes.get("/{space}/usage.csv")
async def usage_csv(visit: Visiting, by: By = By.MODEL, days: Days = 30) -> Response:
    """The table of the page."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([by.value, *_SHOWN])
    for row in await _report(visit, by, days):
        writer.writerow([_plain(name_of(row, by)), *(getattr(row, name) for name in _SHOWN)])
    headers = SECURITY_HEADERS | {"Content-Disposition": f'attachment; filename="sluice-usage-by-{by.value}.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def name_of(row: UsageRow, by: By) -> str:
    """What a row is about, in words."""
    named = {
        By.MODEL: row.model,
        By.MEMBER: row.email or row.member,
        By.KEY: row.name or row.key,
        By.DAY: row.day.isoformat() if row.day else "",
    }[by]
    return named or "without a key"


def _plain(text: str) -> str:
    """What no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


async def _report(visit: Visit, by: By, days: int, limit: int = MOST_ROWS) -> list[UsageRow]:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    over = usage.span(midnight - timedelta(days=days - 1), None)
    whose = visit.whose
    return await usage.report(
        visit.session.connection, by, over, owner=whose.owner, account_id=whose.account_id, limit=limit
    )
