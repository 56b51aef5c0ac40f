"""What follows from the entries: balances, and what members spend in a day."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

from contracts import topics
from contracts.charges import ChargePosted
from contracts.credit import BalanceChanged, MemberSpent
from libs.database.outbox import Outgoing
from services.metering.store.rows import Metered, time_of

Spender = tuple[str, str, date]
"""Owner, account and day."""


async def balances_of(connection: Any, owners: set[str]) -> dict[str, BalanceChanged]:
    """The balances by owner, locked until the transaction ends."""
    if not owners:
        return {}
    rows = await connection.fetch(
        "select * from ledger.balances where owner = any($1) order by owner for update", list(owners)
    )
    return {row["owner"]: BalanceChanged.model_validate(dict(row)) for row in rows}


def is_spending(charge: ChargePosted) -> bool:
    """A member of an organization spends something."""
    return bool(charge.organization_id and charge.account_id and charge.cost_microdollars)


def spender_of(metered: Metered) -> Spender:
    """Who spends, and on which day it counts."""
    return metered.owner, metered.usage.caller.account_id or "", time_of(metered.usage.accepted_at_ms).date()


async def spending_of(connection: Any, spenders: set[Spender]) -> dict[Spender, MemberSpent]:
    """What members of organizations have spent on the days of this batch, this batch included."""
    if not spenders:
        return {}
    rows = await connection.fetch(
        "select owner, account_id, day, sum(cost_microdollars)::bigint as spent_microdollars from ledger.usage_daily "
        "join unnest($1::text[], $2::text[], $3::date[]) as wanted (owner, account_id, day) "
        "using (owner, account_id, day) group by owner, account_id, day",
        *map(list, zip(*spenders, strict=True)),
    )
    return {(row["owner"], row["account_id"], row["day"]): MemberSpent.model_validate(dict(row)) for row in rows}


async def states(connection: Any) -> AsyncIterator[Outgoing[Any]]:
    """What a new cluster must hold: all balances, and what members have spent today and yesterday."""
    async for row in connection.cursor("select * from ledger.balances"):
        yield Outgoing(topics.BALANCES, BalanceChanged.model_validate(dict(row)))
    async for row in connection.cursor(
        "select owner, account_id, day, sum(cost_microdollars)::bigint as spent_microdollars from ledger.usage_daily "
        "where day >= (now() at time zone 'UTC')::date - 1 and owner like 'org:%' group by owner, account_id, day"
    ):
        yield Outgoing(topics.SPENDING, MemberSpent.model_validate(dict(row)))
