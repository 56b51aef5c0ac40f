"""Who used what: whole days from the ledger's roll-ups, what is left of a span from its usage rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    "answer_cache_hits",
)


class By(Enum):
    """What usage is summed up by."""

    MODEL = "model"
    MEMBER = "member"
    KEY = "key"
    DAY = "day"
    TAG = "tag"
    CUSTOMER = "customer"
    PROVIDER = "provider"
    TEAM = "team"


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
    By.TAG: ("tag", "tag", ""),
    By.CUSTOMER: ("customer", "customer", ""),
    By.PROVIDER: ("provider_id", "provider_id as provider", ""),
    By.TEAM: ("team", "team", ""),
}


@dataclass(frozen=True, slots=True)
class Only:
    """Which requests are summed up; None: any."""

    key: str | None = None
    """A key's fingerprint."""
    tag: str | None = None
    customer: str | None = None

    def labels(self, by: By) -> dict[str, str | None]:
        """The names that clients give which a report is about, with the one that is wanted of each."""
        wanted = {"tag": self.tag, "customer": self.customer}
        return {name: value for name, value in wanted.items() if value is not None or name == by.value}


ALL = Only()


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
    """A sum. Of the first ten fields an answer has those by which it is summed up."""

    model: str | None = None
    member: str | None = None
    email: str | None = None
    key: str | None = None
    """A key's fingerprint."""
    name: str | None = None
    """Of the key."""
    day: date | None = None
    tag: str | None = None
    """A request with two counts for both."""
    customer: str | None = None
    """The client's own, as its requests name it."""
    provider: str | None = None
    team: str | None = None
    """Of those who are in it now; a member of two counts for both. Empty: of members in none."""
    requests: int
    completed: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_microdollars: int
    cache_hit_percent: float
    """Of the input tokens, those that the provider had in its prompt cache."""
    answer_cache_hits: int
    """Requests whose answer came from the gateway's own cache: no provider was asked."""
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
    only: Only = ALL,
    limit: int = MOST_ROWS,
) -> list[UsageRow]:
    """Usage of one owner, one account, or (both None) everybody; the dearest first, days in order.

    By tag or customer, requests without one are left out. Raises BadInput by team, where it is of no organization.
    """
    group, shown, join = _GROUPS[by]
    source = _source(by, only, owner, account_id)
    order = "day" if by is By.DAY else f"cost_microdollars desc, {group}"
    used = source.query(over, ", ".join(_SUMS), _ONE)
    if by is By.TEAM:
        used = _by_team(source, owner, used, _SUMS)
    rows = await connection.fetch(
        f"""
        with used as ({used}),
        summed as (
            select {"day" if by is By.DAY else "name"} as {group},
                {", ".join(f"sum({one})::bigint as {one}" for one in _SUMS)} from used group by 1
            order by {order} limit {limit}
        )
        select {shown}, {", ".join(f"max({one}) as {one}" for one in _SUMS)} from summed {join} group by {group}
        order by {order}
        """,  # noqa: S608
        *source.values,
    )
    units = await _units(connection, by, over, only, owner, account_id)
    shown_as = shown.partition(",")[0].split()[-1]
    return [
        UsageRow(
            **row,
            cache_hit_percent=round(100 * row["cache_read_tokens"] / max(1, row["input_tokens"]), 1),
            units=units.get(row[shown_as], {}),
            usd=usd(row["cost_microdollars"]),
        )
        for row in rows
    ]


_ONE = (
    "1 as requests, (outcome = 'completed')::int as completed, input_tokens, output_tokens, "
    "cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_microdollars, "
    "(cached_percent is not null)::int as answer_cache_hits"
)
_AFTER_ALL = timedelta(days=1)


@dataclass(slots=True)
class _Source:
    """Where usage is read: whole days from a table of sums, the rest of a span request by request."""

    sums: str | None
    """None: no table has these sums."""
    name_in_sums: str
    """The column that a report is by."""
    single: str
    name_in_single: str
    day_in_single: str = "day"
    of_sums: str = "true"
    """What holds for the table of sums alone."""
    conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def query(self, over: Span, columns_of_sums: str, columns_of_single: str) -> str:
        """Rows of day, name and these columns."""
        where = " and ".join(self.conditions) or "true"
        parts = over.rest() if self.sums else [(over.since, over.until or datetime.now(UTC) + _AFTER_ALL)]
        first_id = "request_id {} ledger_v1.first_id({})".format
        spans = " or ".join(
            f"({first_id('>=', self.add(begins))} and {first_id('<', self.add(ends))})" for begins, ends in parts
        )
        query = (
            f"select {self.day_in_single} as day, {self.name_in_single} as name, {columns_of_single} "  # noqa: S608
            f"from {self.single} where {where} and ({spans or 'false'})"
        )
        if self.sums is None:
            return query
        first, after = map(self.add, over.whole_days())
        return (
            f"select day, {self.name_in_sums} as name, {columns_of_sums} from ledger_v1.{self.sums} "  # noqa: S608
            f"where {where} and {self.of_sums} and day >= {first} and day < {after} union all {query}"
        )

    def only(self, condition: str, value: object) -> None:
        """Adds a condition, if there is a value."""
        if value is not None:
            self.conditions.append(condition.format(self.add(value)))

    def add(self, value: object) -> str:
        """A value's place in the query."""
        self.values.append(value)
        return f"${len(self.values)}"


def _by_team(source: _Source, owner: str | None, query: str, sums: Sequence[str], also: str = "") -> str:
    """Rows of members as rows of the teams that they are in; empty for who is in none.

    Args:
        also: a column, beside the member, by which rows are summed up.
    """
    if owner is None or not owner.startswith("org:"):
        raise BadInput("usage by team is an organization's")
    return f"""
        select coalesce(team, '') as name, summed.* from (
            select name as member{also and f", {also}"}, {", ".join(f"sum({one})::bigint as {one}" for one in sums)}
            from ({query}) of_members group by name{also and f", {also}"}
        ) summed left join (
            select team, jsonb_array_elements_text(members) as member
            from control.limits, jsonb_each(document::jsonb -> 'teams') as teams (team, members)
            where owner = {source.add(owner)}
        ) teams using (member)
    """  # noqa: S608


def _source(by: By, only: Only, owner: str | None, account_id: str | None) -> _Source:
    by = By.MEMBER if by is By.TEAM else by
    group, labels = _GROUPS[by][0], only.labels(by)
    name = "''" if by is By.DAY else f"coalesce({group}, '')"
    if labels:
        # A request has one customer, and would count once for each of its tags.
        dimension = by.value if by.value in labels else "customer" if "customer" in labels else "tag"
        name = "name" if by.value in labels else name
        source = _Source("labels_daily", name, "ledger_v1.used_labels", name)
        source.conditions.append(f"dimension = '{dimension}'")
        if len(labels) == 1:
            source.only("name = {0}", labels[dimension])
        else:
            source.sums = None
            source.only("customer = {0}", only.customer)
            source.only("tags ? {0}", only.tag)
    else:
        source = _Source("usage_daily", name, "ledger_v1.usage", name, "(accepted_at at time zone 'UTC')::date")
        if account_id is None and only.key is None:
            # Of all of an owner's: by this dimension alone.
            source.sums, source.of_sums = "usage_sums", f"dimension = '{by.value}'"
            source.name_in_sums = "name"
    if by is By.PROVIDER and source.name_in_sums != "name":
        # Which provider it was is in the sums of whole owners alone.
        source.sums = None
    # A condition that does not hold for all is left out: PostgreSQL would plan for both.
    source.only("owner = {0}", owner)
    source.only("account_id = {0}", account_id)
    source.only("key_fingerprint = {0}", only.key)
    return source


async def _units(
    connection: Connection, by: By, over: Span, only: Only, owner: str | None, account_id: str | None
) -> dict[object, dict[str, int]]:
    """What was used beside tokens, by what the report is by."""
    source = _source(by, only, owner, account_id)
    if only.labels(by) or by is By.PROVIDER:
        source.sums = None
        # Few requests have any, and an index names them.
        source.conditions.append("quantities is not null")
        source.single += ", jsonb_to_recordset(quantities) as counted (unit text, amount bigint)"
    else:
        source.sums, source.name_in_sums, source.of_sums = "units_daily", source.name_in_single, "true"
        source.single, source.day_in_single = "ledger_v1.used_units", "day"
    used = source.query(over, "unit, amount", "unit, amount")
    if by is By.TEAM:
        used = _by_team(source, owner, used, ("amount",), "unit")
    rows = await connection.fetch(
        f"""
        with used as ({used})
        select {"day" if by is By.DAY else "name"} as name, unit, sum(amount)::bigint as amount
        from used group by 1, 2 order by 2
        """,  # noqa: S608
        *source.values,
    )
    found: dict[object, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["name"], {})[row["unit"]] = row["amount"]
    return found


async def spent_today(connection: Connection, organization_id: str, account_id: str) -> int:
    """Microdollars that a member has spent since midnight UTC."""
    return int(
        await connection.fetchval(
            "select sum(cost_microdollars) from ledger_v1.usage_daily "
            "where owner = $1 and account_id = $2 and day = $3",
            f"org:{organization_id}",
            account_id,
            datetime.now(UTC).date(),
        )
        or 0
    )


async def spent_today_by_member(
    connection: Connection, owner: str, members: list[str], *, also_most: bool
) -> dict[str, int]:
    """The same of several; with ``also_most`` of who has spent the most, too."""
    rows = await connection.fetch(
        "(select name, cost_microdollars from ledger_v1.usage_sums "
        "where owner = $1 and dimension = 'member' and day = $2 and name = any($3)) union "
        "(select name, cost_microdollars from ledger_v1.usage_sums "
        "where owner = $1 and dimension = 'member' and day = $2 and $4 order by cost_microdollars desc limit 1)",
        owner,
        datetime.now(UTC).date(),
        members,
        also_most,
    )
    return {row["name"]: int(row["cost_microdollars"]) for row in rows}


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
