"""Who used what: whole days from the ledger's roll-ups, what is left of a span from its usage rows."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum

from libs.database.pool import Connection
from libs.pricing.usd import usd
from services.console.answers import Answer
from services.console.core.authorization import Role
from services.console.errors import BadInput

SEE_ALL = frozenset({Role.OWNER, Role.BILLING_MANAGER})
"""Roles that see the whole organization's usage; members see their own."""
DEFAULT = timedelta(days=30)
MOST_ROWS = 10_000
_SUMS = (
    "requests",
    "completed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_microdollars",
)


class By(Enum):
    """What usage is summed up by."""

    MODEL = "model"
    MEMBER = "member"
    KEY = "key"
    DAY = "day"


_GROUPS = {
    By.MODEL: ("model", "model", ""),
    By.MEMBER: (
        "account_id",
        "account_id as member, max(email) as email",
        "left join control.accounts on id = account_id",
    ),
    By.KEY: (
        "key_fingerprint",
        "key_fingerprint as key, max(name) as name",
        "left join control.api_keys k on k.fingerprint = key_fingerprint",
    ),
    By.DAY: ("day", "day", ""),
}


@dataclass(frozen=True, slots=True)
class Span:
    """From ``since`` on, before ``until`` (None: without end)."""

    since: datetime
    until: datetime | None

    def whole_days(self) -> tuple[date, date]:
        """The first day that is all in the span, and the day after the last one."""
        first = _midnight(self.since)
        if first < self.since:
            first += timedelta(days=1)
        return first.date(), max(first, _midnight(self.until)).date() if self.until else date.max

    def rest(self) -> list[tuple[datetime, datetime]]:
        """The parts of the span that are no whole days: at most one at each end."""
        first, after = (datetime.combine(day, datetime.min.time(), UTC) for day in self.whole_days())
        parts = [(self.since, min(first, self.until) if self.until else first)]
        if self.until:
            parts.append((max(self.since, after, first), self.until))
        return [(begins, ends) for begins, ends in parts if begins < ends]


def span(since: datetime | None, until: datetime | None) -> Span:
    """A span of time. Raises BadInput where it ends before it begins, or has no time zone."""
    for moment in (since, until):
        if moment is not None and moment.tzinfo is None:
            raise BadInput("times need a zone, for example 2026-11-25T00:00:00Z")
    begins = (since or datetime.now(UTC) - DEFAULT).astimezone(UTC)
    if until is not None and until <= begins:
        raise BadInput("`until` must be after `since`")
    return Span(begins, until.astimezone(UTC) if until else None)


class UsageRow(Answer):
    """A sum. Of the first six fields an answer has those by which it is summed up."""

    model: str | None = None
    member: str | None = None
    email: str | None = None
    key: str | None = None
    """A key's fingerprint."""
    name: str | None = None
    """Of the key."""
    day: date | None = None
    requests: int
    completed: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_microdollars: int
    units: dict[str, int]
    """What was used beside tokens, by unit."""
    usd: str


async def report(
    connection: Connection,
    by: By,
    over: Span,
    *,
    owner: str | None = None,
    account_id: str | None = None,
    limit: int = MOST_ROWS,
) -> list[UsageRow]:
    """Usage of one owner, one account, or (both None) everybody; the dearest first, days in order."""
    group, shown, join = _GROUPS[by]
    parts = over.rest()
    (a, b), (c, d) = (parts + [(over.since, over.since)] * 2)[:2]
    asked = (owner, account_id, *over.whole_days(), a, b, c, d)
    # A condition that does not hold for all is left out: PostgreSQL would plan for both.
    whose = (
        f"{'owner = $1' if owner else '$1::text is null'} and {'account_id = $2' if account_id else '$2::text is null'}"
    )
    # What was summed up before: of one account by all that it used, else by this dimension alone.
    whole, name = ("usage_daily", group) if account_id else ("usage_sums", "name")
    dimension = "" if account_id else f"and dimension = '{by.value}'"
    if by is By.DAY:
        name = "''"
    sums = ", ".join(_SUMS)
    rows = await connection.fetch(
        f"""
        with used as (
            select day, {name} as name, {sums} from ledger.{whole}
            where {whose} and day >= $3 and day < $4 {dimension}
            union all
            select (accepted_at at time zone 'UTC')::date, {"''" if by is By.DAY else f"coalesce({group}, '')"},
                1, (outcome = 'completed')::int, input_tokens, output_tokens, cache_read_tokens,
                cache_write_tokens, reasoning_tokens, cost_microdollars
            from ledger.usage
            where {whose} and (
                (request_id >= ledger.first_id($5) and request_id < ledger.first_id($6))
                or (request_id >= ledger.first_id($7) and request_id < ledger.first_id($8)))
        ), summed as (
            select {"day" if by is By.DAY else f"name as {group}"},
                {", ".join(f"sum({one})::bigint as {one}" for one in _SUMS)} from used group by 1
            order by {"day" if by is By.DAY else "cost_microdollars desc, 1"} limit {limit}
        )
        select {shown}, {", ".join(f"max({one}) as {one}" for one in _SUMS)} from summed {join} group by {group}
        order by {"day" if by is By.DAY else f"cost_microdollars desc, {group}"}
        """,  # noqa: S608
        *asked,
    )
    units = await _units(connection, group, asked)
    shown_as = shown.partition(",")[0].split()[-1]
    return [UsageRow(**row, units=units.get(row[shown_as], {}), usd=usd(row["cost_microdollars"])) for row in rows]


async def _units(connection: Connection, group: str, asked: tuple[object, ...]) -> dict[object, dict[str, int]]:
    """What was used beside tokens, by what the report is grouped by; arguments as there."""
    rows = await connection.fetch(
        f"""
        with used as (
            select {group}, unit, amount from ledger.units_daily
            where ($1::text is null or owner = $1) and ($2::text is null or account_id = $2) and day >= $3 and day < $4
            union all
            select {group}, unit, amount from ledger.used_units
            where ($1::text is null or owner = $1) and ($2::text is null or account_id = $2) and (
                (request_id >= ledger.first_id($5) and request_id < ledger.first_id($6))
                or (request_id >= ledger.first_id($7) and request_id < ledger.first_id($8)))
        )
        select {group} as name, unit, sum(amount)::bigint as amount from used group by {group}, unit order by unit
        """,  # noqa: S608
        *asked,
    )
    found: dict[object, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["name"], {})[row["unit"]] = row["amount"]
    return found


async def spent_today(connection: Connection, organization_id: str, account_id: str) -> int:
    """Microdollars that a member has spent since midnight UTC."""
    return int(
        await connection.fetchval(
            "select sum(cost_microdollars) from ledger.usage_daily where owner = $1 and account_id = $2 and day = $3",
            f"org:{organization_id}",
            account_id,
            datetime.now(UTC).date(),
        )
        or 0
    )


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
