"""Usage: spending by day, and by model, member, team, key, tag, customer or provider; as CSV and Parquet too."""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from contracts.labels import MOST_CUSTOMER, MOST_TAG
from libs.parquet import parquet
from services.console.store import usage
from services.console.store.usage import MOST_ROWS, By, Only, UsageRow
from services.console.web.home import chart
from services.console.web.pages import SECURITY_HEADERS
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
SPANS = (7, 30, 90)
ROWS = 100
_SHOWN = ("requests", "completed", "input_tokens", "output_tokens", "cache_read_tokens", "answer_cache_hits", "usd")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be shown."""

    by: By
    days: int
    only: Only

    def query(self, **changes: Any) -> str:
        """The address of a page that differs in this."""
        wanted = {"by": self.by.value, "days": self.days} | {
            name: getattr(self.only, name) for name in ("key", "tag", "customer")
        }
        return urlencode({name: value for name, value in (wanted | changes).items() if value})


def _chosen(
    by: By = By.MODEL,
    days: Annotated[int, Query(ge=1, le=90)] = 30,
    key: Annotated[str, Query(max_length=64)] = "",
    tag: Annotated[str, Query(max_length=MOST_TAG)] = "",
    customer: Annotated[str, Query(max_length=MOST_CUSTOMER)] = "",
) -> Chosen:
    return Chosen(by, days, Only(key or None, tag or None, customer or None))


Wanted = Annotated[Chosen, Depends(_chosen)]


@routes.get("/{space}/usage")
async def show_usage(visit: Visiting, chosen: Wanted) -> Response:
    """The page."""
    by, days = chosen.by, chosen.days
    by_day = await _report(visit, By.DAY, chosen)
    rows = by_day if by is By.DAY else await _report(visit, by, chosen, ROWS + 1)
    most = max((row.cost_microdollars for row in rows), default=0)
    return visit.page(
        "usage.html",
        rows=rows[:ROWS],
        more=len(rows) > ROWS,
        names=[name_of(row, by) for row in rows],
        by_day=by_day,
        chart=chart(by_day, days),
        chosen=chosen,
        by=by,
        dimensions=[one for one in By if one is not By.TEAM or visit.space.organization],
        days=days,
        spans=SPANS,
        most=most,
    )


@routes.get("/{space}/usage.csv")
async def usage_csv(visit: Visiting, chosen: Wanted) -> Response:
    """The table of the page."""
    by = chosen.by
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([by.value, *_SHOWN])
    for row in await _report(visit, by, chosen):
        writer.writerow([_plain(name_of(row, by)), *(getattr(row, name) for name in _SHOWN)])
    headers = SECURITY_HEADERS | {"Content-Disposition": f'attachment; filename="sluice-usage-by-{by.value}.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


@routes.get("/{space}/usage.parquet")
async def usage_parquet(visit: Visiting, chosen: Wanted) -> Response:
    """The same as Parquet; money in microdollars."""
    by = chosen.by
    rows = await _report(visit, by, chosen)
    names = {by.value: [name_of(row, by) for row in rows]}
    numbers = {name: [getattr(row, name) for row in rows] for name in (*_SHOWN[:-1], "cost_microdollars")}
    headers = SECURITY_HEADERS | {"Content-Disposition": f'attachment; filename="sluice-usage-by-{by.value}.parquet"'}
    return Response(parquet(names, numbers), media_type="application/vnd.apache.parquet", headers=headers)


def name_of(row: UsageRow, by: By) -> str:
    """What a row is about, in words."""
    named = {
        By.MODEL: row.model,
        By.MEMBER: row.email or row.member,
        By.KEY: row.name or row.key,
        By.DAY: row.day.isoformat() if row.day else "",
        By.TAG: row.tag,
        By.CUSTOMER: row.customer,
        By.PROVIDER: row.provider,
        By.TEAM: row.team,
    }[by]
    return named or {By.TEAM: "in no team", By.PROVIDER: "no provider"}.get(by, "without a key")


def _plain(text: str) -> str:
    """What no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


async def _report(visit: Visit, by: By, chosen: Chosen, limit: int = MOST_ROWS) -> list[UsageRow]:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    over = usage.span(midnight - timedelta(days=chosen.days - 1), None)
    whose = visit.whose
    return await usage.report(
        visit.session.connection,
        by,
        over,
        owner=whose.owner,
        account_id=whose.account_id,
        only=chosen.only,
        limit=limit,
    )
