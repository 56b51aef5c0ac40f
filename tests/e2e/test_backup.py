"""The restore of docs/backup.md: a dump of PostgreSQL, taken while it runs, becomes books that agree with the log."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.local.home import plain_environment
from tests.stacks import Gateway, chat

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
    tools = Path(psutil.Process(gateway.stack.children["postgres"].pid).exe()).parent
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
    await _run(
        sys.executable,
        "-m",
        "services.audit",
        SLUICE_KAFKA_BOOTSTRAP=gateway.stack.bus.bootstrap,
        SLUICE_KAFKA_PARTITIONS=str(gateway.stack.bus.partitions),
        SLUICE_DATABASE_URL_FILE=_file(tmp_path / "url", f"{ledger}/{RESTORED}"),
    )
    await gateway.database.execute(f"drop database {RESTORED}")


def _file(file: Path, text: str) -> str:
    file.write_text(text)
    return os.fspath(file)
