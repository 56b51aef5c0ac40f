"""Migrations in a process of their own: alembic and SQLAlchemy take 30 MiB, which a service would keep."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

SAID_MOST = 4_000
"""Characters of what the process said that an error has."""
_ROOT = Path(__file__).parents[2]
_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TZ")
_KEPT_OF = ("PG", "SSL_")
"""Of PostgreSQL's clients, and of OpenSSL. What else a service is given may be secret, and nothing that it needs."""


class MigrationError(Exception):
    """A schema could not be brought to its newest revision. The message: how the process ended, and its last words."""


async def migrate_apart(url: str, schema: str, versions: Path) -> None:
    """Runs `libs.database.migrate` for a schema. Where this is cancelled all of it is done, or nothing.

    Raises:
        MigrationError: see there.
    """
    command = (sys.executable, "-P", "-m", "libs.database.migrate", schema, str(versions))
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=_environment(), stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
    except OSError as error:
        raise MigrationError(f"it could not be started: {error}") from None
    try:
        # Arguments are for all to see, and an environment for whoever may look into a process.
        said, _ = await process.communicate(url.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise MigrationError(f"exit {process.returncode}: {said.decode(errors='replace')[-SAID_MOST:]}")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_OF)}
    return kept | {"PYTHONPATH": str(_ROOT)}
