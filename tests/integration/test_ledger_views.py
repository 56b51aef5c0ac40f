"""What others read of the ledger: the views of `ledger_v1`, by an index, and no table."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

import services.metering
from deploy.local.postgres import GUEST, SCHEMAS, SHOWN, provision
from libs.database.migrate import migrate
from tests.bench.console import Explaining, queries_of
from tests.stacks import Gateway

MIGRATIONS = Path(services.metering.__file__).with_name("migrations")
VIEWS = {
    "usage",
    "entries",
    "prices",
    "balances",
    "usage_daily",
    "usage_sums",
    "labels_daily",
    "units_daily",
    "used_units",
    "used_labels",
}


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(gateway: Gateway) -> AsyncIterator[str]:
    """A database that nobody has set up yet; the administrator's URL of it."""
    name = "ledger_views_test"
    await gateway.database.execute(f"drop database if exists {name} with (force)")
    await gateway.database.execute(f"create database {name}")
    yield _of(gateway.stack.postgres.admin_url(), name)
    await gateway.database.execute(f"drop database {name} with (force)")


def _of(url: str, database: str) -> str:
    return f"{url.rpartition('/')[0]}/{database}"


def _passwords(gateway: Gateway) -> dict[str, str]:
    return {one: gateway.stack.postgres.url(one).split(":")[2].split("@")[0] for one in SCHEMAS}


async def test_who_read_tables_before_there_were_views_has_them_until_there_are(gateway: Gateway, fresh: str) -> None:
    database, passwords = fresh.rpartition("/")[2], _passwords(gateway)
    await provision(fresh, passwords)
    admin = await asyncpg.connect(fresh)
    # As the version before did.
    await admin.execute("grant usage on schema ledger to sluice_console")
    await admin.execute(
        "alter default privileges for role sluice_metering in schema ledger grant select on tables to sluice_console"
    )
    await provision(fresh, passwords)
    await asyncio.to_thread(migrate, _of(gateway.stack.postgres.url("metering"), database), "ledger", MIGRATIONS)
    console = await asyncpg.connect(_of(gateway.stack.postgres.url("console"), database))
    try:
        await console.fetch("select * from ledger.usage")
        await console.fetch("select * from ledger_v1.usage")
        await provision(fresh, passwords)
        await admin.execute("set role sluice_metering")
        await admin.execute("create table ledger.later (x int)")
        for table in ("usage", "entries", "later"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await console.fetch(f"select * from ledger.{table}")
        await console.fetch("select * from ledger_v1.usage")
    finally:
        await console.close()
        await admin.close()


async def test_the_console_s_role_and_the_dashboards_read_views_alone(gateway: Gateway, fresh: str) -> None:
    database, passwords = fresh.rpartition("/")[2], _passwords(gateway)
    secret = "guest-of-the-ledger"
    await provision(fresh, {**passwords, GUEST: secret})
    await asyncio.to_thread(migrate, _of(gateway.stack.postgres.url("metering"), database), "ledger", MIGRATIONS)
    admin = await asyncpg.connect(fresh)
    tables = [row[0] for row in await admin.fetch("select tablename from pg_tables where schemaname = 'ledger'")]
    await admin.close()
    address = fresh.partition("@")[2]
    for url in (
        _of(gateway.stack.postgres.url("console"), database),
        f"postgresql://sluice_{GUEST}:{secret}@{address}",
    ):
        reader = await asyncpg.connect(url)
        try:
            for table in tables:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await reader.fetch(f"select * from ledger.{table}")
            for view in VIEWS:
                await reader.fetch(f"select * from ledger_v1.{view}")
                with pytest.raises(asyncpg.PostgresError):
                    await reader.execute(f"delete from ledger_v1.{view}")
        finally:
            await reader.close()


async def test_these_views_are_all_there_are(gateway: Gateway) -> None:
    found = await gateway.database.fetch(
        "select viewname from pg_views where schemaname = any($1)", list(SHOWN.values())
    )
    assert {row["viewname"] for row in found} == VIEWS


async def test_a_view_leads_to_the_indexes_of_its_table(gateway: Gateway) -> None:
    console = await asyncpg.connect(gateway.stack.postgres.url("console"))
    try:
        # A table of a few rows is read whole, whatever indexes it has.
        await console.execute("set enable_seqscan = off")
        explaining = Explaining(console)
        for name, ask in queries_of(explaining).items():
            explaining.plans.clear()
            await ask()
            read_whole = re.findall(r"Seq Scan on (?:usage|units|labels|entries)\S*", "\n".join(explaining.plans))
            assert not read_whole, (name, explaining.plans)
    finally:
        await console.close()
