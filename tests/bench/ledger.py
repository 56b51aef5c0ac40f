"""``./sluice bench ledger``: how fast usage goes into PostgreSQL, and reports come out, as the ledger grows.

The rows to grow by are made inside PostgreSQL; those that are timed go the way of metering's own code.
"""

import asyncio
import secrets
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil

import services.metering
from contracts.replies import Outcome
from contracts.requests import Caller
from contracts.usage import TokenUsage, UsageRecorded
from deploy.local.home import Home
from deploy.local.ports import free_port
from deploy.local.postgres import EmbeddedPostgres
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from libs.pricing.charging import cost_of
from services.cli.output import as_table, out, report
from services.console.store import usage as reports
from services.console.store.usage import By
from services.metering.core.pricing import charge
from services.metering.store.ledger import SCHEMA, Ledger
from services.metering.store.rows import Metered
from tests.unit.records import PRICE, accepted

BATCH = 500
OWNERS, MEMBERS, MODELS, DAYS = 200, 5, 20, 60
FILL = 250_000
_ROWS = """
    create temp table fill as
    select n, d, n % $3 as o, n / $3 % $4 as m, n / ($3 * $4) % $5 as model, (
            lpad(to_hex(((extract(epoch from now()) - d * 86400) * 1000)::bigint - n % 80000000), 12, '0')
            || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15)
        )::uuid as id
    from (select n, (n * 7919 % $6)::int as d from generate_series($1::bigint, $2::bigint) n) x
"""
_ENTRIES = """
    insert into ledger.entries (entry_id, kind, debit_account, credit_account, amount_microdollars)
    select id, 'charge', 'credit:org:' || o, 'revenue', 100 + n % 900 from fill
"""
_USAGE = """
    insert into ledger.usage (request_id, owner, subject, account_id, organization_id, key_fingerprint, surface, model,
        provider_id, upstream_model, outcome, status, input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, reasoning_tokens, input_image_tokens, output_image_tokens, input_audio_tokens,
        output_audio_tokens, estimated, byok, free, attempts, cost_microdollars, catalog_version, price_version,
        accepted_at, ended_at, first_byte_ms, task_id, client_version, mode)
    select id, 'org:' || o, 'org:' || o, o || '-' || m, o::text, o || '-' || m, 'chat.completions', 'model/' || model,
        'stub', 'echo-1', 'completed', 200, 500, 200, 0, 0, 0, 0, 0, 0, 0, false, false, false, 1, 100 + n % 900,
        1, 'bench', now() - make_interval(days => d), now(), 20, md5(n::text), 'bench', 'code'
    from fill
"""


@asynccontextmanager
async def database_server() -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL of its own, in a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        Path(folder).chmod(0o755)
        home = Home(Path(folder) / "home")
        home.prepare()
        postgres = EmbeddedPostgres(home, free_port(), report)
        child = postgres.child()
        await child.start()
        try:
            yield postgres
        finally:
            await child.stop(within_s=30)


async def main(options: Namespace) -> None:
    """Measures and prints."""
    async with database_server() as postgres:
        await _measure(postgres, options)


async def _measure(postgres: EmbeddedPostgres, options: Namespace) -> None:
    url = postgres.url("metering")
    migrations = Path(services.metering.__file__).with_name("migrations")
    database = Database(DatabaseSettings(url=url), SCHEMA, migrations)
    await database.start()
    await database.wait_ready()
    admin = await asyncpg.connect(postgres.admin_url(), command_timeout=3600)
    await admin.execute("create table control.accounts (id text, email text)")
    await admin.execute("create table control.api_keys (fingerprint text, name text)")
    ledger = Ledger(database, {})
    rows: list[dict[str, Any]] = []
    filled = 0
    for size in options.sizes:
        await _fill(admin, filled, size)
        filled = size
        rows.append({"ledger": f"{size:,} rows"} | await _write(ledger, admin, options.seconds) | await _report(admin))
    as_table(rows, "")
    one = await admin.fetchval("select pg_total_relation_size('ledger.usage_daily')")
    total = await admin.fetchval(
        "select sum(pg_total_relation_size(oid)) from pg_class "
        "where relkind = 'r' and relnamespace = 'ledger'::regnamespace"
    )
    out.print(f"\n{total / max(1, filled):,.0f} bytes a request with all indices; roll-ups take {one / 2**20:,.0f} MiB")
    await admin.close()
    await database.stop()


async def _write(ledger: Ledger, admin: Any, seconds: float) -> dict[str, Any]:
    """Batches as metering writes them, on one connection."""
    await ledger.write(next(_batches()))
    server, own = _postgres_cpu(admin), psutil.Process()
    own_before, server_before = sum(own.cpu_times()[:2]), server()
    started, count = time.perf_counter(), 0
    for batch in _batches():
        await ledger.write(batch)
        count += len(batch)
        if time.perf_counter() - started >= seconds:
            break
    took = time.perf_counter() - started
    await admin.execute("delete from ledger.outbox")
    return {
        "records/s": round(count / took),
        "CPU us, metering": round((sum(own.cpu_times()[:2]) - own_before) / count * 1e6),
        "CPU us, PostgreSQL": round((server() - server_before) / count * 1e6),
    }


def _postgres_cpu(admin: Any) -> Any:
    pid = next(
        process.pid
        for process in psutil.Process().children(recursive=True)
        if process.name() == "postgres" and process.parent() != process
    )
    root = psutil.Process(pid)
    while root.parent() is not None and root.parent().name() == "postgres":  # type: ignore[union-attr]
        root = root.parent()  # type: ignore[assignment]

    def spent() -> float:
        return sum(sum(child.cpu_times()[:2]) for child in (root, *root.children()))

    return spent


async def _report(admin: Any) -> dict[str, Any]:
    """Milliseconds, best of three: an organization's month by model, a member's, and everybody's by day."""
    now = datetime.now(UTC)
    month = reports.Span(now - timedelta(days=30), None)

    async def best(by: By, **whose: Any) -> float:
        times = []
        for _ in range(3):
            started = time.perf_counter()
            await reports.report(admin, by, month, **whose)
            times.append(time.perf_counter() - started)
        return round(min(times) * 1000, 1)

    return {
        "org by model ms": await best(By.MODEL, owner="org:7"),
        "member by day ms": await best(By.DAY, owner="org:7", account_id="7-1"),
        "all by day ms": await best(By.DAY),
    }


async def _fill(admin: Any, have: int, want: int) -> None:
    """Rows like those that metering writes, over the last days, into the same tables with the same triggers."""
    await admin.execute(
        "select ledger.ensure_month((now() - make_interval(days => d))::date) from generate_series(0, $1) d", DAYS
    )
    while have < want:
        count = min(FILL, want - have)
        async with admin.transaction():
            await admin.execute("drop table if exists fill")
            await admin.execute(_ROWS, have, have + count - 1, OWNERS, MEMBERS, MODELS, DAYS)
            await admin.execute(_ENTRIES)
            await admin.execute(_USAGE)
        have += count
        report(f"{have:,} of {want:,} rows")
    await admin.execute("vacuum analyze ledger.usage")
    await admin.execute("vacuum analyze ledger.entries")
    await admin.execute("vacuum analyze ledger.usage_daily")


def _batches() -> Iterator[list[Metered]]:
    number = 0
    while True:
        batch = []
        for _ in range(BATCH):
            number += 1
            batch.append(_metered(number))
        yield batch


def _metered(number: int) -> Metered:
    now_ms = time.time_ns() // 1_000_000
    owner, member = number % OWNERS, number // OWNERS % MEMBERS
    random = secrets.token_hex(10)
    request = accepted(
        request_id=f"{now_ms >> 16:08x}-{now_ms & 0xFFFF:04x}-7{random[:3]}-8{random[3:6]}-{random[6:18]}",
        accepted_at_ms=now_ms,
    )
    record = UsageRecorded(
        request_id=request.request_id,
        subject=f"org:{owner}",
        caller=Caller(account_id=f"{owner}-{member}", organization_id=str(owner), key_fingerprint=f"{owner}-{member}"),
        surface=request.surface,
        catalog_version=1,
        model=f"model/{number % MODELS}",
        provider_id="stub",
        upstream_model="echo-1",
        outcome=Outcome.COMPLETED,
        status=200,
        tokens=TokenUsage(input_tokens=500, output_tokens=number % 700 + 1),
        attempts=1,
        accepted_at_ms=now_ms,
        ended_at_ms=now_ms,
        first_byte_ms=20,
    )
    cost = cost_of(record, PRICE)
    return Metered(record, charge(record, cost, now_ms), "", cost.price)


def arguments(parser: ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 100_000, 1_000_000], help="rows before each timing")
    parser.add_argument("--seconds", type=float, default=10, help="of writing at each size")


if __name__ == "__main__":
    found = ArgumentParser(prog="sluice bench ledger", description=__doc__)
    arguments(found)
    asyncio.run(main(found.parse_args()))
