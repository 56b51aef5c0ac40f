"""Runs a schema's alembic migrations, one process at a time.

``python -m libs.database.migrate SCHEMA FOLDER`` takes the URL from stdin.
"""

import asyncio
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine


def migrate(url: str, schema: str, versions: Path) -> None:
    """Brings ``schema`` to its newest revision. Call it outside the event loop.

    Args:
        url: ``postgresql://`` URL of the role that owns the schema.
        versions: the folder of the schema's revisions.

    Raises:
        OSError: the database is away.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("alembic")))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", str(versions))
    config.attributes["schema"] = schema

    def upgrade(connection: Connection) -> None:
        connection.execute(text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": f"sluice {schema}"})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async def run() -> None:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=pool.NullPool)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(upgrade)
        finally:
            await engine.dispose()

    asyncio.run(run())


if __name__ == "__main__":
    migrate(sys.stdin.read(), sys.argv[1], Path(sys.argv[2]))
