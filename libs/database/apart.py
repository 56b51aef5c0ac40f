"""Migrations in a process of their own: alembic and SQLAlchemy take 30 MiB, which a service would keep."""

import asyncio
import os
import sys
from pathlib import Path

URL_VARIABLE = "SLUICE_MIGRATION_URL"
"""Not an argument: those are for all to see."""
SAID_MOST = 4_000


class MigrationError(Exception):
    """A schema could not be brought to its newest revision; the message is the end of what the process said."""


async def migrate_apart(url: str, schema: str, versions: Path) -> None:
    """Runs `libs.database.migrate` for a schema, and ends it where this is cancelled: then nothing has changed.

    Raises:
        MigrationError: see there.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "libs.database.migrate", schema, str(versions)),
        env=os.environ | {URL_VARIABLE: url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise MigrationError(said.decode(errors="replace")[-SAID_MOST:])
