"""The restore of docs/backup.md: a dump of PostgreSQL, taken while it runs, becomes books that agree with the log.

What came after the dump is read again from the log.
"""

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.clock import now_ms
from contracts.services import METERING_GROUP
from deploy.local.home import plain_environment
from deploy.local.postgres import SCHEMAS, provision
from tests.e2e.plane import Plane
from tests.stacks import Gateway, chat, running_stack, until

RESTORED = "restored_test"


async def _run(*command: str, **environment: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, env=plain_environment(**environment), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-2000:]


async def test_a_dump_is_restored_and_its_books_agree_with_the_log(gateway: Gateway, tmp_path: Path) -> None:
    for _ in range(3):
        answer = await gateway.post(chat("backup"))
        await gateway.entry(answer.headers["x-request-id"])
    tools = _tools(gateway)
    url, dump = gateway.stack.postgres.admin_url(), tmp_path / "sluice.dump"
    restored = f"{url.rpartition('/')[0]}/{RESTORED}"
    await _run(str(tools / "pg_dump"), "--format=custom", f"--file={dump}", url)
    await gateway.database.execute(f"drop database if exists {RESTORED}")
    await gateway.database.execute(f"create database {RESTORED}")
    await _run(str(tools / "pg_restore"), "--exit-on-error", f"--dbname={restored}", str(dump))
    connection = await asyncpg.connect(restored)
    try:
        for table in ("ledger.usage", "ledger.entries", "control.accounts", "vault.credentials"):
            count = f"select count(*) from {table}"
            assert await connection.fetchval(count) == await gateway.database.fetchval(count), table
        # What makes the ledger final came with it.
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("update ledger.entries set amount_microdollars = 1")
    finally:
        await connection.close()
    ledger = gateway.stack.postgres.url("metering").rpartition("/")[0]
    await _audit(gateway, f"{ledger}/{RESTORED}", tmp_path)
    await gateway.database.execute(f"drop database {RESTORED}")


async def test_what_came_after_the_dump_is_read_again_from_the_log(
    kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with running_stack(tmp_path_factory.mktemp("restored"), kafka) as gateway:
        plane = Plane(gateway, 1)
        person = await plane.person()
        await plane.becomes(400, person.key)
        await _spend(plane, person.key, person.account_id)
        folder, url = tmp_path_factory.mktemp("dump"), gateway.stack.postgres.admin_url()
        dump, at_ms = folder / "sluice.dump", now_ms()
        await _run(str(_tools(gateway) / "pg_dump"), "--format=custom", f"--file={dump}", url)
        before = await _books(gateway)
        await _spend(plane, person.key, person.account_id)
        after = await _books(gateway)
        services = [name for name in gateway.stack.children if name not in ("broker", "postgres", "stub")]
        await asyncio.gather(*(gateway.stack.children[name].stop() for name in services))
        await _empty(gateway)
        restore = ("--clean", "--if-exists", "--exit-on-error", f"--dbname={url}", str(dump))
        await _run(str(_tools(gateway) / "pg_restore"), *restore)
        assert await _books(gateway) == before != after
        await _reset_offsets(gateway, at_ms)
        await asyncio.gather(*(gateway.stack.children[name].start() for name in services))

        async def caught_up() -> bool | None:
            return (await _books(gateway)) == after or None

        await until(caught_up, what="the books of before", within_s=60)
        await _spend(plane, person.key, person.account_id)
        await _audit(gateway, gateway.stack.postgres.url("metering"), folder)


def _tools(gateway: Gateway) -> Path:
    """Where `pg_dump` is."""
    return Path(psutil.Process(gateway.stack.children["postgres"].pid).exe()).parent


async def _empty(gateway: Gateway) -> None:
    """An empty database with roles and schemas, as the setup makes it."""
    url, secret = gateway.stack.postgres.admin_url(), json.loads(gateway.stack.secrets_file.read_text())
    await gateway.database.close()
    server = await asyncpg.connect(f"{url.rpartition('/')[0]}/postgres")
    await server.execute("drop database sluice")
    await server.execute("create database sluice")
    await server.close()
    await provision(url, {service: secret[f"database-{service}"] for service in SCHEMAS})
    gateway.database = await asyncpg.connect(url)


async def _spend(plane: Plane, key: str, account_id: str) -> None:
    """A top-up and two requests, until they are in the books."""
    path = f"/api/accounts/{account_id}/credit"
    ordered = await plane.call("POST", path, {"usd": "1.00", "reference": secrets.token_hex(4)})

    async def entered() -> bool | None:
        entries = (await plane.call("GET", path))["entries"]
        return ordered["id"] in [one["id"] for one in entries] or None

    await until(entered, what="the top-up")
    for _ in range(2):
        answer = await until(lambda: _answered(plane, key), what="an answer")
        await plane.gateway.entry(answer)


async def _answered(plane: Plane, key: str) -> str | None:
    """The ID of a request that was answered."""
    try:
        answer = await plane.ask(key)
    except httpx.TransportError:
        return None
    return str(answer.headers["x-request-id"]) if answer.is_success else None


async def _books(gateway: Gateway) -> list[tuple[object, ...]]:
    """All entries, in an order of their own, and all balances."""
    sides = "entry_id::text, debit_account, credit_account, amount_microdollars"
    entries = f"select {sides} from ledger.entries order by entry_id"
    balances = "select owner, balance_microdollars from ledger.balances order by owner"
    return [tuple(row) for query in (entries, balances) for row in await gateway.database.fetch(query)]


async def _reset_offsets(gateway: Gateway, at_ms: int) -> None:
    """What ``kafka-consumer-groups.sh --reset-offsets --to-datetime`` does."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=gateway.stack.bus.bootstrap, group_id=METERING_GROUP.name, enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic.name, number)
            for topic in METERING_GROUP.topics
            for number in range(gateway.stack.bus.partitions_of(topic))
        ]
        consumer.assign(partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
        ends = await consumer.end_offsets(partitions)
        await consumer.commit({one: at.offset if (at := found[one]) else ends[one] for one in partitions})
    finally:
        await consumer.stop()


async def _audit(gateway: Gateway, url: str, folder: Path) -> None:
    await _run(
        sys.executable,
        "-m",
        "services.audit",
        SLUICE_KAFKA_BOOTSTRAP=gateway.stack.bus.bootstrap,
        SLUICE_KAFKA_PARTITIONS=str(gateway.stack.bus.partitions),
        SLUICE_DATABASE_URL_FILE=_file(folder / "url", url),
    )


def _file(file: Path, text: str) -> str:
    file.write_text(text)
    return os.fspath(file)
