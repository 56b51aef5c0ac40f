"""What may succeed later is retried later, and is nobody's fault: no record goes to the dead-letter queue for it."""

import asyncpg
import pytest

from libs.database.pool import AWAY


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DiskFullError,
        asyncpg.OutOfMemoryError,
        asyncpg.TooManyConnectionsError,
        asyncpg.PostgresIOError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.CannotConnectNowError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.DeadlockDetectedError,
        asyncpg.ConnectionDoesNotExistError,
        ConnectionResetError,
        TimeoutError,
    ],
)
def test_the_database_s_own_troubles_are_no_record_s(error: type[Exception]) -> None:
    assert issubclass(error, AWAY)


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError, asyncpg.NumericValueOutOfRangeError, ValueError])
def test_a_record_s_troubles_are_its_own(error: type[Exception]) -> None:
    assert not issubclass(error, AWAY)
