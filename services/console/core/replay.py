"""A draft policy run over the requests that were made: what it would newly refuse, and newly allow.

The requests are the ledger's: it has one row for each that was accepted, refused ones included, and keeps them longer
than the log does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from contracts.control import PolicySet
from libs.config.catalog import Catalog
from libs.policy.rules import check, daily_limit
from libs.pricing.usd import usd
from services.console.answers import Answer


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


class Change(Answer):
    """What one member asked of one model, and is now decided otherwise."""

    member: str
    email: str | None
    model: str
    requests: int
    usd: str
    rule: str | None
    """The rule that refuses it now, or did before."""


class DayOver(Answer):
    """A day on which a member spent more than the draft's limit."""

    member: str
    day: date
    usd: str
    limit_usd: str


class Replay(Answer):
    """What a draft changes of what was asked before."""

    requests: int
    newly_refused: list[Change]
    newly_allowed: list[Change]
    days_over_limit: list[DayOver]
    since: datetime


def compare(
    asked_: Iterable[Asked],
    days_: Iterable[Day],
    catalog: Catalog,
    before: PolicySet,
    draft: PolicySet,
    since: datetime,
) -> Replay:
    """Each member and model whose verdict changes, the most requests first; and days over a new daily limit."""
    refused: list[Change] = []
    allowed: list[Change] = []
    requests = 0
    for one in sorted(asked_, key=lambda one: (-one.requests, one.account_id, one.model)):
        requests += one.requests
        then, now = check(one.model, catalog, before), check(one.model, catalog, draft)
        if (then.rule is None) != (now.rule is None):
            (refused if now.rule else allowed).append(
                Change(
                    member=one.account_id,
                    email=one.email,
                    model=one.model,
                    requests=one.requests,
                    usd=usd(one.cost_microdollars),
                    rule=now.rule or then.rule,
                )
            )
    over = [
        DayOver(member=day.account_id, day=day.day, usd=usd(day.cost_microdollars), limit_usd=usd(limit))
        for day in sorted(days_, key=lambda day: (day.day, day.account_id))
        if (limit := daily_limit(draft, day.account_id)) is not None and day.cost_microdollars > limit
    ]
    return Replay(requests=requests, newly_refused=refused, newly_allowed=allowed, days_over_limit=over, since=since)
