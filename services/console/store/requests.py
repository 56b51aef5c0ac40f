"""Single requests, from what metering shows of its ledger."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BeforeValidator

from contracts.requests import Surface
from libs.database.pool import Connection
from libs.pricing.usd import usd
from services.console.answers import Answer, time_of
from services.console.core.cursors import Position, Slice
from services.console.core.timeline import Course

ENTERED_WITHIN = timedelta(seconds=5)
OK = 200
"""The status of what was completed, and of no refusal."""
RECENT = 1_000
"""So many of the newest requests are the base of first-token times."""
_SHOWN = (
    "request_id, accepted_at, ended_at, owner, account_id, key_fingerprint, surface, model, provider_id, outcome, "
    "status, input_tokens, output_tokens, cache_read_tokens, cost_microdollars, first_byte_ms, byok, free, estimated, "
    "customer, tags"
)


@dataclass(frozen=True, slots=True)
class Whose:
    """Which requests one may see. All None: everybody's."""

    owner: str | None = None
    """``acct:<id>`` or ``org:<id>``."""
    account_id: str | None = None
    """Of the owner's, those of this account alone."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; None: any."""

    model: str | None = None
    outcome: str | None = None
    key: str | None = None
    """A key's fingerprint."""
    member: str | None = None
    since: datetime | None = None
    tag: str | None = None
    customer: str | None = None
    status: int | None = None
    """The one that the client was sent."""
    least_microdollars: int | None = None
    """It cost so much, or more."""
    least_ms: int | None = None
    """It took so long, or longer."""


Tags = Annotated[list[str], BeforeValidator(lambda value: orjson.loads(value or "[]"))]


class Request(Answer):
    """A request that has ended, in the ledger."""

    request_id: UUID
    accepted_at: datetime
    ended_at: datetime
    owner: str
    account_id: str | None
    key_fingerprint: str | None
    surface: str
    model: str
    provider_id: str | None
    outcome: str
    status: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost_microdollars: int
    first_byte_ms: int | None
    byok: bool
    free: bool
    estimated: bool
    customer: str | None
    tags: Tags

    @property
    def duration_ms(self) -> int:
        """From acceptance to the end."""
        return int((self.ended_at - self.accepted_at) / timedelta(milliseconds=1))

    @property
    def tool_call(self) -> bool:
        """It was sent to a server of MCP: no model was asked, and nothing is charged."""
        return self.surface == Surface.MCP

    @property
    def usd(self) -> str:
        """What it cost."""
        return usd(self.cost_microdollars)

    @property
    def position(self) -> Position:
        """Among requests."""
        return Position(self.accepted_at, str(self.request_id))


class RequestDetails(Request):
    """All that the books know of a request."""

    organization_id: str | None
    upstream_model: str | None
    cache_write_tokens: int
    reasoning_tokens: int
    attempts: int
    tried: str | None
    price_version: str
    reserved_microdollars: int | None
    task_id: str | None
    client_version: str | None
    mode: str | None
    cached_percent: int | None
    service_tier: str | None
    quantities: list[dict[str, Any]]
    metadata: dict[str, str]
    routed_at: datetime | None
    called_at: datetime | None
    debit_account: str
    credit_account: str
    amount_microdollars: int
    posted_at: datetime
    tiers: list[dict[str, Any]]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Providers that failed before, with the status of each."""
        return [(one.partition("=")[0], one.partition("=")[2]) for one in (self.tried or "").split(", ") if one]

    @property
    def course(self) -> Course:
        """When it came by where."""
        return Course(
            accepted_at=self.accepted_at,
            ended_at=self.ended_at,
            posted_at=self.posted_at,
            outcome=self.outcome,
            provider=self.provider_id,
            routed_at=self.routed_at,
            called_at=self.called_at,
            first_byte_ms=self.first_byte_ms,
            failures=self.failures,
        )


async def rows(connection: Connection, whose: Whose, filters: Filters, part: Slice) -> list[Request]:
    """Newest first."""
    conditions, values = _conditions(whose, filters)
    if part.after:
        values.append(UUID(part.id))
        conditions.append(f"request_id < ${len(values)}")
    found = await connection.fetch(
        f"select {_SHOWN} from ledger_v1.usage {_where(conditions)} order by request_id desc limit {part.rows}",  # noqa: S608
        *values,
    )
    return [Request(**row) for row in found]


async def entered(connection: Connection, whose: Whose, since: datetime, after_ms: int, limit: int) -> list[Request]:
    """Requests that were accepted since a time and ended after another (epoch milliseconds), newest first.

    What ends is entered a moment later: rows of the last seconds before ``after_ms`` are there too, so compare IDs.
    """
    conditions, values = _conditions(whose, Filters(since=since))
    values.append(time_of(after_ms) - ENTERED_WITHIN)
    conditions.append(f"ended_at > ${len(values)}")
    found = await connection.fetch(
        f"select {_SHOWN} from ledger_v1.usage {_where(conditions)} order by request_id desc limit {limit}",  # noqa: S608
        *values,
    )
    return [Request(**row) for row in found]


async def find(connection: Connection, whose: Whose, request_id: UUID) -> RequestDetails | None:
    """One request with its entry and its prices; None where there is none that one may see."""
    conditions, values = _conditions(whose, Filters())
    values.append(request_id)
    conditions.append(f"request_id = ${len(values)}")
    row = await connection.fetchrow(
        "select u.*, e.debit_account, e.credit_account, e.amount_microdollars, e.posted_at, p.tiers "  # noqa: S608
        f"from (select * from ledger_v1.usage {_where(conditions)}) u "
        "join ledger_v1.entries e on e.entry_id = u.request_id left join ledger_v1.prices p using (price_version)",
        *values,
    )
    if row is None:
        return None
    lists = {name: orjson.loads(row[name] or "[]") for name in ("tiers", "quantities")}
    return RequestDetails(**dict(row) | lists | {"metadata": orjson.loads(row["metadata"] or "{}")})


@dataclass(frozen=True, slots=True)
class Speed:
    """Of the newest requests that had a first byte."""

    requests: int
    median_ms: int | None
    p95_ms: int | None


async def speed(connection: Connection, whose: Whose) -> Speed:
    """How soon providers began to answer."""
    conditions, values = _conditions(whose, Filters())
    row = await connection.fetchrow(
        "select count(first_byte_ms) as requests, percentile_disc(0.5) within group (order by first_byte_ms) "  # noqa: S608
        "as median, percentile_disc(0.95) within group (order by first_byte_ms) as p95 from ("
        f"select first_byte_ms from ledger_v1.usage {_where(conditions)} order by request_id desc limit {RECENT}) "
        "recent",
        *values,
    )
    return Speed(row["requests"], row["median"], row["p95"]) if row else Speed(0, None, None)


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """One provider over the newest requests of everybody."""

    provider_id: str
    calls: int
    failed: int
    """Also of requests that another one answered."""
    median_ms: int | None


async def providers(connection: Connection, since: datetime) -> list[ProviderHealth]:
    """Calls for the newest requests by provider, of at most `RECENT` requests; not those of tools."""
    found = await connection.fetch(
        "with recent as (select provider_id, outcome, tried, first_byte_ms from ledger_v1.usage "  # noqa: S608
        "where request_id >= ledger_v1.first_id($1) and surface <> 'mcp' "
        f"order by request_id desc limit {RECENT}), calls as ("
        "select provider_id, outcome in ('failed', 'interrupted') as failed, first_byte_ms from recent "
        "where provider_id is not null union all select split_part(one, '=', 1), true, null "
        "from recent, regexp_split_to_table(tried, ', ') as one where tried <> '') "
        "select provider_id, count(*), count(*) filter (where failed), "
        "percentile_disc(0.5) within group (order by first_byte_ms) from calls group by 1 order by 1",
        since,
    )
    return [ProviderHealth(*row) for row in found]


# A key's requests are its account's, of which there is an index; a model's are of the days that its sums are of.
_OF_KEY = (
    "key_fingerprint = {0} and account_id = (select account_id from control.api_keys where fingerprint = {0} limit 1)"
)
_OF_MODEL = (
    "model = {0} and request_id between (select ledger_v1.first_id(min(day) - 1) "
    "from ledger_v1.usage_sums where dimension = 'model' and name = {0}{1}) and "
    "(select ledger_v1.first_id(max(day) + 2) from ledger_v1.usage_sums where dimension = 'model' and name = {0}{1})"
)


# So that the index of those serves, whatever the planner knows of the value.
_MISSED = " and outcome <> 'completed'"


def _conditions(whose: Whose, filters: Filters) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    asked = (
        ("owner = {0}", whose.owner),
        ("account_id = {0}", whose.account_id),
        (_OF_MODEL, filters.model),
        ("outcome = {0}" + _MISSED * (filters.outcome != "completed"), filters.outcome),
        ("status = {0}" + _MISSED * (filters.status != OK), filters.status),
        (_OF_KEY, filters.key),
        ("account_id = {0}", filters.member),
        ("tags ? {0}", filters.tag),
        ("customer = {0}", filters.customer),
        ("cost_microdollars >= {0}", filters.least_microdollars),
        ("(ended_at - accepted_at) >= make_interval(secs => {0}::float8 / 1000)", filters.least_ms),
        ("request_id >= ledger_v1.first_id({0})", filters.since),
    )
    for condition, value in asked:
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}", " and owner = $1" if whose.owner else ""))
    return conditions, values


def _where(conditions: list[str]) -> str:
    return f"where {' and '.join(conditions)}" if conditions else ""
