"""What an organization's members asked for and spent, for `services.console.core.replay`."""

from datetime import UTC, datetime

import asyncpg
import orjson

from libs.database.pool import Connection
from services.console.core.replay import MOST_PAIRS, MOST_SINGLE, Asked, Day
from services.console.store.usage import Span


async def count(connection: Connection, organization_id: str, over: Span) -> int:
    """How many requests an organization's members made."""
    found: int = await connection.fetchval(
        "select count(*) from ledger_v1.usage where owner = $1 and request_id >= ledger_v1.first_id($2)",
        f"org:{organization_id}",
        over.since,
    )
    return found


async def models(connection: Connection, organization_id: str, over: Span) -> list[str]:
    """The models that they asked for; the span's first day in full."""
    rows = await connection.fetch(
        "select distinct name from ledger_v1.usage_sums where owner = $1 and dimension = 'model' and day >= $2",
        f"org:{organization_id}",
        over.since.date(),
    )
    return [row["name"] for row in rows]


async def asked(connection: Connection, organization_id: str, over: Span, of: list[str]) -> list[Asked]:
    """What they asked for of some models, by member and model; the `MOST_PAIRS` with the most requests."""
    rows = await connection.fetch(
        "select account_id, email, model, requests, cost from (select account_id, model, count(*) as requests, "
        "sum(cost_microdollars)::bigint as cost from ledger_v1.usage where owner = $1 and model = any($3) "
        "and request_id >= ledger_v1.first_id($2) and account_id is not null group by account_id, model "
        "order by requests desc, account_id, model limit $4) used left join control.accounts on id = account_id",
        f"org:{organization_id}",
        over.since,
        of,
        MOST_PAIRS,
    )
    return [Asked(*row) for row in rows]


async def singly(connection: Connection, organization_id: str, over: Span) -> list[Asked]:
    """The same, one by one, with what conditions may ask for; the newest `MOST_SINGLE`, without calls of tools."""
    rows = await connection.fetch(
        "select u.account_id, a.email, u.model, u.cost_microdollars, u.surface, u.streamed, u.key_fingerprint, "
        "u.task_id, u.mode, u.client_version, u.tags, u.customer, u.reserved_microdollars, u.accepted_at, m.role "
        "from ledger_v1.usage u left join control.accounts a on a.id = u.account_id left join control.memberships m "
        "on m.organization_id = u.organization_id and m.account_id = u.account_id "
        "where u.owner = $1 and u.request_id >= ledger_v1.first_id($2) and u.account_id is not null "
        "and u.surface <> 'mcp' order by u.request_id desc limit $3",
        f"org:{organization_id}",
        over.since,
        MOST_SINGLE,
    )
    return [_single(row) for row in rows]


def _single(row: asyncpg.Record) -> Asked:
    at: datetime = row["accepted_at"].astimezone(UTC)
    known = {
        "account": row["account_id"],
        "client_version": row["client_version"] or "",
        "customer": row["customer"] or "",
        "hour": at.hour,
        "key": row["key_fingerprint"] or "",
        "mode": row["mode"] or "",
        "model": row["model"],
        "role": row["role"] or "",
        "stream": row["streamed"],
        "surface": row["surface"],
        "tags": orjson.loads(row["tags"]) if row["tags"] else [],
        "task": row["task_id"] or "",
        "weekday": at.isoweekday(),
    }
    if row["reserved_microdollars"] is not None:
        known["usd"] = row["reserved_microdollars"] / 1_000_000
    return Asked(row["account_id"], row["email"], row["model"], 1, row["cost_microdollars"], known)


async def days(connection: Connection, organization_id: str, over: Span) -> list[Day]:
    """What an organization's members spent, day by day; the span's first day in full."""
    rows = await connection.fetch(
        "select account_id, day, sum(cost_microdollars)::bigint from ledger_v1.usage_daily "
        "where owner = $1 and day >= $2 group by account_id, day",
        f"org:{organization_id}",
        over.since.date(),
    )
    return [Day(*row) for row in rows]
