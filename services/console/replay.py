"""A draft policy run over the requests that were made: what it would newly refuse, and newly allow.

The requests are the ledger's: it has one row for each that was accepted, refused ones included, and keeps them longer
than the log does.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from contracts.control import PolicySet
from libs.config.catalog import Catalog
from libs.policy.rules import check, daily_limit
from libs.pricing.usd import usd
from services.console.usage import Span


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests of one member for one model."""

    account_id: str
    email: str | None
    model: str
    requests: int
    cost_microdollars: int


@dataclass(frozen=True, slots=True)
class Day:
    """What one member spent on one day."""

    account_id: str
    day: date
    cost_microdollars: int


async def asked(connection: Any, organization_id: str, over: Span) -> list[Asked]:
    """What an organization's members asked for."""
    rows = await connection.fetch(
        "select account_id, max(email) as email, model, count(*) as requests, sum(cost_microdollars)::bigint as cost "
        "from ledger.usage left join control.accounts on id = account_id where organization_id = $1 "
        "and request_id >= ledger.first_id($2) and account_id is not null group by account_id, model",
        organization_id,
        over.since,
    )
    return [Asked(*row) for row in rows]


async def days(connection: Any, organization_id: str, over: Span) -> list[Day]:
    """What an organization's members spent, day by day; the span's first day in full."""
    rows = await connection.fetch(
        "select account_id, day, sum(cost_microdollars)::bigint from ledger.usage_daily "
        "where owner = $1 and day >= $2 group by account_id, day",
        f"org:{organization_id}",
        over.since.date(),
    )
    return [Day(*row) for row in rows]


def compare(
    asked_: Iterable[Asked], days_: Iterable[Day], catalog: Catalog, before: PolicySet, draft: PolicySet
) -> dict[str, Any]:
    """Each member and model whose verdict changes, the most requests first; and days over a new daily limit."""
    changes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    requests = 0
    for one in sorted(asked_, key=lambda one: (-one.requests, one.account_id, one.model)):
        requests += one.requests
        then, now = check(one.model, catalog, before), check(one.model, catalog, draft)
        if (then.rule is None) != (now.rule is None):
            changes["newly_refused" if now.rule else "newly_allowed"].append(
                {
                    "member": one.account_id,
                    "email": one.email,
                    "model": one.model,
                    "requests": one.requests,
                    "usd": usd(one.cost_microdollars),
                    "rule": now.rule or then.rule,
                }
            )
    return {
        "requests": requests,
        "newly_refused": changes["newly_refused"],
        "newly_allowed": changes["newly_allowed"],
        "days_over_limit": [
            {"member": day.account_id, "day": day.day, "usd": usd(day.cost_microdollars), "limit_usd": usd(limit)}
            for day in sorted(days_, key=lambda day: (day.day, day.account_id))
            if (limit := daily_limit(draft, day.account_id)) is not None and day.cost_microdollars > limit
        ],
    }
