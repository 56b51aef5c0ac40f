"""A draft policy run over the requests that were made: what it would newly refuse, and newly allow.

The requests are the ledger's: it has one row for each that was accepted, refused ones included, and keeps them longer
than the log does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from contracts.control import PolicySet
from libs.config.catalog import Catalog
from libs.policy.conditions import ConditionError, holds, names_in
from libs.policy.rules import check, daily_limit
from libs.pricing.usd import usd
from services.console.answers import Answer

MOST_PAIRS = 1_000
"""Of member and model, whose requests would be decided otherwise: those with the most requests."""
MOST_SINGLE = 10_000
"""Requests that are looked at one by one, the newest."""
KNOWN = frozenset(
    {"account", "client_version", "customer", "hour", "key", "mode", "model", "role", "stream", "surface"}
    | {"tags", "task", "usd", "weekday"}
)
"""What conditions may ask for that the ledger has. The role is the member's of today; `usd` is what was held."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests of one member for one model."""

    account_id: str
    email: str | None
    model: str
    requests: int
    cost_microdollars: int
    known: Mapping[str, Any] = field(default_factory=dict)
    """Of a single request, what conditions may ask for: `KNOWN`, without `usd` where nothing was held."""


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
    not_replayed: list[str] = []
    """Guardrails of the draft that ask for what the ledger has not: texts, tools, or the bounds of a request."""


def is_single(*rules: PolicySet) -> bool:
    """One of these policies refuses single requests, by what the ledger knows of them."""
    guards = [one.guardrails for one in rules if one.guardrails]
    return any(one.conditions or one.max_request_microdollars is not None for one in guards)


def moved(models: Iterable[str], catalog: Catalog, before: PolicySet, draft: PolicySet) -> list[str]:
    """The models that one policy refuses and the other does not."""
    return [
        one for one in models if (check(one, catalog, before).rule is None) != (check(one, catalog, draft).rule is None)
    ]


def compare(
    asked_: Iterable[Asked],
    days_: Iterable[Day],
    catalog: Catalog,
    before: PolicySet,
    draft: PolicySet,
    since: datetime,
    requests_made: int | None = None,
) -> Replay:
    """Each member and model whose verdict changes, the most requests first; and days over a new daily limit.

    Args:
        requests_made: of which these are some; None: these are all.
    """
    refused: list[Change] = []
    allowed: list[Change] = []
    found: dict[tuple[str, str, str | None, str | None], tuple[str | None, int, int]] = {}
    total = 0
    for one in asked_:
        total += one.requests
        then, now = _rule(one, catalog, before), _rule(one, catalog, draft)
        if (then is None) != (now is None):
            key = one.account_id, one.model, then, now
            _, requests, cost = found.get(key, (None, 0, 0))
            found[key] = one.email, requests + one.requests, cost + one.cost_microdollars
    for (member, model, then, now), (email, requests, cost) in sorted(
        found.items(), key=lambda entry: (-entry[1][1], *entry[0][:2], entry[0][3] or entry[0][2] or "")
    ):
        (refused if now else allowed).append(
            Change(member=member, email=email, model=model, requests=requests, usd=usd(cost), rule=now or then)
        )
    over = [
        DayOver(member=day.account_id, day=day.day, usd=usd(day.cost_microdollars), limit_usd=usd(limit))
        for day in sorted(days_, key=lambda day: (day.day, day.account_id))
        if (limit := daily_limit(draft, day.account_id)) is not None and day.cost_microdollars > limit
    ]
    return Replay(
        requests=total if requests_made is None else requests_made,
        newly_refused=refused,
        newly_allowed=allowed,
        days_over_limit=over,
        since=since,
        not_replayed=_not_replayed(draft),
    )


def _rule(one: Asked, catalog: Catalog, policy: PolicySet) -> str | None:
    """The rule that refuses a request, as far as the ledger can say."""
    rule, guards = check(one.model, catalog, policy).rule, policy.guardrails
    if rule or guards is None or not one.known:
        return rule
    most, held = guards.max_request_microdollars, one.known.get("usd")
    if most is not None and held is not None and held * 1_000_000 > most:
        return "guardrails.max_request_usd"
    for condition in guards.conditions:
        if names_in(condition.refuse_when) <= one.known.keys() and _holds(condition.refuse_when, one.known):
            return f"guardrails.conditions.{condition.name}"
    return None


def _holds(expression: str, known: Mapping[str, Any]) -> bool:
    try:
        return holds(expression, known)
    except ConditionError:
        # It refuses what it cannot decide.
        return True


def _not_replayed(draft: PolicySet) -> list[str]:
    guards = draft.guardrails
    if guards is None:
        return []
    others = [
        f"guardrails.{name}"
        for name, there in (
            ("deny", guards.deny),
            ("words_deny", guards.words_deny),
            ("patterns", guards.patterns),
            ("tools_allow", guards.tools_allow is not None),
            ("webhook", guards.webhook),
        )
        if there
    ]
    return others + [
        f"guardrails.conditions.{one.name}" for one in guards.conditions if not names_in(one.refuse_when) <= KNOWN
    ]
