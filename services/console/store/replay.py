"""What an organization's members asked for and spent, for `services.console.core.replay`."""

from libs.database.pool import Connection
from services.console.core.replay import Asked, Day
from services.console.store.usage import Span


async def asked(connection: Connection, organization_id: str, over: Span) -> list[Asked]:
    """What an organization's members asked for."""
    rows = await connection.fetch(
        "select account_id, max(email) as email, model, count(*) as requests, sum(cost_microdollars)::bigint as cost "
        "from ledger_v1.usage left join control.accounts on id = account_id where organization_id = $1 "
        "and request_id >= ledger_v1.first_id($2) and account_id is not null group by account_id, model",
        organization_id,
        over.since,
    )
    return [Asked(*row) for row in rows]


async def days(connection: Connection, organization_id: str, over: Span) -> list[Day]:
    """What an organization's members spent, day by day; the span's first day in full."""
    rows = await connection.fetch(
        "select account_id, day, sum(cost_microdollars)::bigint from ledger_v1.usage_daily "
        "where owner = $1 and day >= $2 group by account_id, day",
        f"org:{organization_id}",
        over.since.date(),
    )
    return [Day(*row) for row in rows]
