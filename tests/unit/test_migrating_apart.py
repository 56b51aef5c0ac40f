"""Migrations in a process of their own."""

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest

from libs.database.apart import MigrationError, migrate_apart

SECRETS = ("s3cret", "of-the-vault")


def _url(port: int) -> str:
    return f"postgresql://owner:s3cret@127.0.0.1:{port}/none"


async def test_what_went_wrong_is_told_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"(?s)^exit 1: .*ConnectionRefusedError") as raised:
        await migrate_apart(_url(1), "ledger", tmp_path)
    assert "s3cret" not in str(raised.value)


async def test_nobody_sees_a_secret_in_the_process_and_it_ends_with_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_VAULT_KEY_ENCRYPTION_KEYS", "of-the-vault")
    asked, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        migrating = asyncio.create_task(migrate_apart(_url(server.sockets[0].getsockname()[1]), "ledger", tmp_path))
        await asyncio.wait_for(asked.wait(), 60)
        (child,) = [one for one in psutil.Process().children() if "libs.database.migrate" in one.cmdline()]
        shown = " ".join([*child.cmdline(), *child.environ().values()])
        assert not [secret for secret in SECRETS if secret in shown]
        migrating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await migrating
        assert not child.is_running()
        await asyncio.wait_for(ended.wait(), 60)
