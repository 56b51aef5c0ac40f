"""Is a schema at its newest revision? Answered without alembic, whose import costs each start half a second of CPU."""

from pathlib import Path

import asyncpg


def newest_revision(versions: Path) -> str:
    """The newest revision in a folder whose files are called ``<revision>_<what>.py``."""
    return max(file.name.partition("_")[0] for file in versions.glob("[0-9]*_*.py"))


async def current_revision(url: str, schema: str) -> str | None:
    """The revision that a schema is at; None where it was never migrated.

    Raises:
        one of `libs.database.pool.AWAY`: the database is not there.
    """
    connection = await asyncpg.connect(url)
    try:
        found: str | None = await connection.fetchval(f"select version_num from {schema}.alembic_version")  # noqa: S608
        return found
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return None
    finally:
        await connection.close()
