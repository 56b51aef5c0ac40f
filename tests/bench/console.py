"""``./sluice bench console``: the queries of the web console's pages, on one organization with a large ledger.

The rows are made inside PostgreSQL, and go through metering's own triggers; the queries are the console's own.
"""

import asyncio
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

import services.console
import services.metering
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from services.cli.output import as_table, report
from services.console.core.cursors import Slice
from services.console.store import (
    accounts,
    audit,
    catalog,
    credit,
    keys,
    limits,
    organizations,
    replay,
    requests,
    tool_calls,
    usage,
)
from services.console.store.requests import Filters, Whose
from services.console.store.usage import By, Span
from tests.bench.ledger import database_server

ORGANIZATION = "org_00000000000000000001"
OWNER = f"org:{ORGANIZATION}"
MEMBER = "acct_00000000000000000007"
PAGE = [f"acct_{number:020}" for number in range(50)]
MEMBERS, MODELS, DAYS, CHANGES = 10_000, 40, 30, 100_000
FILL = 250_000
MOST_OF_PLAN = 3_000
NOISE = ("never executed", "Batches:", "Index Searches:", "Planning Time:")
_ROWS = """
    create temp table fill on commit drop as
    select n, d, 'acct_' || lpad((n % $3)::text, 20, '0') as account, 'key' || n % $3 as key,
        case when n % 53 = 7 then 'mcp/server' || n % 4 else 'model/' || n / $3 % $4 end as model,
        case when n % 53 = 7 then 'tool' || n % 30 else 'echo-1' end as tool,
        (lpad(to_hex(((extract(epoch from now()) - d * 86400) * 1000)::bigint - n % 80000000), 12, '0')
        || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid as id
    from (select n, (n * 7919 % $5)::int as d from generate_series($1::bigint, $2::bigint) n) x
"""
_ENTRIES = """
    insert into ledger.entries (entry_id, kind, debit_account, credit_account, amount_microdollars)
    select id, 'charge', 'credit:{owner}', 'revenue', 100 + n % 900 from fill
"""
_USAGE = """
    insert into ledger.usage (request_id, owner, subject, account_id, organization_id, key_fingerprint, surface, model,
        provider_id, upstream_model, outcome, status, input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, reasoning_tokens, input_image_tokens, output_image_tokens, input_audio_tokens,
        output_audio_tokens, estimated, byok, free, attempts, cost_microdollars, price_version, catalog_version,
        accepted_at, ended_at, first_byte_ms)
    select id, '{owner}', '{owner}', account, '{organization}', key, 'chat.completions', model, 'stub', tool,
        case when n % 1000 = 0 then 'failed' else 'completed' end, case when n % 1000 = 0 then 502 else 200 end,
        500, 200, 100, 0, 0, 0, 0, 0, 0, false, false,
        false, 1, 100 + n % 900, 'bench', 1, now() - make_interval(days => d),
        now() - make_interval(days => d), 20 + n % 400
    from fill
"""
_PEOPLE = """
    insert into control.organizations (id, name) values ('{organization}', 'Large');
    insert into control.accounts (id, email)
    select 'acct_' || lpad(m::text, 20, '0'), 'member' || m || '@example.com' from generate_series(0, {members} - 1) m;
    insert into control.memberships (organization_id, account_id, role)
    select '{organization}', id, 'member' from control.accounts;
    insert into control.api_keys (id, account_id, name, fingerprint, expires_at)
    select 'key' || m, 'acct_' || lpad(m::text, 20, '0'), 'key', 'key' || m, now()
    from generate_series(0, {members} - 1) m;
    insert into control.limits (owner, version, document, set_by)
    select 'org:{organization}', 2,
        json_build_object('limits', '[]'::json, 'teams', json_object_agg(team, members)), 'x'
    from (select 'team' || m % 100 as team, json_agg('acct_' || lpad(m::text, 20, '0')) as members
        from generate_series(0, {members} - 1) m group by 1) teams;
    insert into control.audit (actor, origin, action, target, organization_id, details)
    select 'acct_' || lpad((m % 100)::text, 20, '0'), '127.0.0.1', 'member.set', 'x', '{organization}', '{{}}'
    from generate_series(1, {changes}) m;
"""


async def main(options: Namespace) -> None:
    """Measures and prints."""
    async with database_server() as postgres:
        for name, schema, package in (
            ("metering", "ledger", services.metering),
            ("console", "control", services.console),
        ):
            migrations = Path(str(package.__file__)).with_name("migrations")
            database = Database(DatabaseSettings(url=postgres.url(name)), schema, migrations)
            await database.start()
            await database.wait_ready()
            await database.stop()
        admin = await asyncpg.connect(postgres.admin_url(), command_timeout=3600)
        await _fill(admin, options.rows)
        await admin.close()
        console = await asyncpg.connect(postgres.url("console"), command_timeout=3600)
        queries = queries_of(console)
        as_table([{"query": name, "ms": await _best(ask)} for name, ask in queries.items()], "")
        if options.plans:
            options.plans.write_text(await _plans(console, options.rows))
        await console.close()


class Explaining:
    """A connection that asks how each query is answered, before it asks it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.plans: list[str] = []

    async def fetch(self, query: str, *values: object) -> Any:
        """See asyncpg."""
        rows = await self._connection.fetch(f"explain (analyze, buffers off, timing off) {query}", *values)
        self.plans.append("\n".join(row[0] for row in rows if not any(word in row[0] for word in NOISE)))
        return await self._connection.fetch(query, *values)

    async def fetchrow(self, query: str, *values: object) -> Any:
        """See asyncpg."""
        return next(iter(await self.fetch(query, *values)), None)

    async def fetchval(self, query: str, *values: object) -> Any:
        """See asyncpg."""
        row = await self.fetchrow(query, *values)
        return row and row[0]


async def _plans(console: Any, rows: int) -> str:
    """How PostgreSQL answers each query, as a document."""
    explaining = Explaining(console)
    parts = [_HEAD.format(rows=rows)]
    for name, ask in queries_of(explaining).items():
        explaining.plans.clear()
        await ask()
        plans = "\n".join(f"```\n{plan[:MOST_OF_PLAN]}\n```" for plan in explaining.plans)
        parts.append(f"## {name.capitalize()}\n\n{plans}")
    return "\n\n".join(parts) + "\n"


_HEAD = """# Plans of the console's queries

Written by `./sluice bench console --plans docs/measurements/console-plans.md`: {rows:,} rows in the ledger
of one organization of 10,000 members. Lines of what was never executed are left out."""


def queries_of(connection: Any) -> dict[str, Callable[[], Awaitable[Any]]]:
    """The queries of the console's pages, by what they are for."""
    month = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    day = Span(datetime.now(UTC) - timedelta(days=1), None)
    everybody, whole, own = Whose(), Whose(OWNER), Whose(OWNER, MEMBER)

    def rows(whose: Whose, **filters: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: requests.rows(connection, whose, Filters(since=month, **filters), Slice(50))

    def sums(by: By, **whose: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: usage.report(connection, by, Span(month, None), limit=101, **whose)

    return {
        "requests": rows(whole),
        "requests that failed": rows(whole, outcome="failed"),
        "requests that were interrupted (none)": rows(whole, outcome="interrupted"),
        "requests of a model": rows(whole, model="model/7"),
        "requests of a model that nobody used": rows(whole, model="none"),
        "requests of a member": rows(own),
        "requests of a key": rows(whole, key="key7"),
        "requests with a status of 502": rows(whole, status=502),
        "requests that cost 100 dollars (none)": rows(whole, least_microdollars=100_000_000),
        "requests that cost a thousandth of a dollar": rows(whole, least_microdollars=990),
        "requests that took a minute (none)": rows(whole, least_ms=60_000),
        "requests of everybody": rows(everybody),
        "requests of everybody that were interrupted (none)": rows(everybody, outcome="interrupted"),
        "requests of everybody that cost 100 dollars (none)": rows(everybody, least_microdollars=100_000_000),
        "first token, organization": lambda: requests.speed(connection, whole),
        "first token, member": lambda: requests.speed(connection, own),
        "providers, last hour": lambda: requests.providers(connection, datetime.now(UTC) - timedelta(hours=1)),
        **{f"usage by {by.value}": sums(by, owner=OWNER) for by in By},
        **{f"a member's usage by {by.value}": sums(by, owner=OWNER, account_id=MEMBER) for by in By},
        **{f"everybody's usage by {by.value}": sums(by) for by in By if by is not By.TEAM},
        "calls of tools in a day": lambda: tool_calls.by_tool(connection, OWNER, datetime.now(UTC) - timedelta(days=1)),
        "what ended within a minute, for the live tail": lambda: requests.entered(
            connection, whole, datetime.now(UTC) - timedelta(minutes=15), int((time.time() - 60) * 1000), 50
        ),
        "a draft of a policy, over the last day: how many requests": lambda: replay.count(
            connection, ORGANIZATION, day
        ),
        "a draft of a policy: which models": lambda: replay.models(connection, ORGANIZATION, day),
        "a draft of a policy that refuses all of them: by member and model": lambda: replay.asked(
            connection, ORGANIZATION, day, [f"model/{number}" for number in range(MODELS)]
        ),
        "a draft with conditions: one by one": lambda: replay.singly(connection, ORGANIZATION, day),
        "a draft's daily limit: by member": lambda: replay.days(connection, ORGANIZATION, day),
        "limits and teams": lambda: limits.current(connection, OWNER),
        "e-mail addresses of a page": lambda: organizations.emails(connection, ORGANIZATION, PAGE),
        "e-mail addresses for the operator": lambda: accounts.emails(connection, PAGE),
        "accounts that hold a text, for the operator": lambda: accounts.rows(connection, Slice(50), email="7@ex"),
        "one's keys": lambda: keys.rows(connection, MEMBER, Slice(1_000)),
        "one's organizations": lambda: organizations.rows(connection, MEMBER, Slice(1_000)),
        "a balance": lambda: credit.balance_of(connection, OWNER),
        "one request": lambda: requests.find(connection, whole, UUID(int=0)),
        "what members spent today": lambda: usage.spent_today_by_member(connection, OWNER, [MEMBER], also_most=True),
        "the catalog's versions": lambda: catalog.history(connection, Slice(50)),
        "members, a page": lambda: organizations.members(connection, ORGANIZATION, Slice(50)),
        "audit trail, a page": lambda: audit.entries(connection, ORGANIZATION, Slice(50)),
        "audit trail, one that changed nothing": lambda: audit.entries(
            connection, ORGANIZATION, Slice(50), actor="acct_nobody"
        ),
    }


async def _best(ask: Callable[[], Awaitable[Any]]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - started)
    return round(min(times) * 1000, 1)


async def _fill(admin: Any, want: int) -> None:
    names = {"owner": OWNER, "organization": ORGANIZATION, "members": MEMBERS, "changes": CHANGES}
    await admin.execute(_PEOPLE.format(**names))
    await admin.execute(
        "select ledger.ensure_month((now() - make_interval(days => d))::date) from generate_series(0, $1) d", DAYS + 1
    )
    for first in range(0, want, FILL):
        async with admin.transaction():
            await admin.execute(_ROWS, first, min(first + FILL, want) - 1, MEMBERS, MODELS, DAYS)
            await admin.execute(_ENTRIES.format(**names))
            await admin.execute(_USAGE.format(**names))
        report(f"{min(first + FILL, want):,} of {want:,} rows")
    await admin.execute("vacuum analyze")


def arguments(parser: ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--plans", type=Path, help="write how PostgreSQL answers each to this file")
    parser.add_argument("--rows", type=int, default=1_000_000, help="in the ledger")


if __name__ == "__main__":
    found = ArgumentParser(prog="sluice bench console", description=__doc__)
    arguments(found)
    asyncio.run(main(found.parse_args()))
