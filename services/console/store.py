"""The control schema's SQL. Every change and what it tells the other services are one transaction."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from contracts import topics
from contracts.control import AccountChanged
from libs.database.pool import Database
from libs.identity.tokens import fingerprint
from services.console.errors import BadInput, Conflict, NotFound
from services.console.outbox import enqueue, revocation
from services.console.signing import SigningKeys


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key; ``token`` is shown once and stored nowhere."""

    key_id: str
    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"IssuedKey(key_id={self.key_id!r})"


class ControlStore:
    """Accounts and their API keys."""

    def __init__(self, database: Database, signing: SigningKeys) -> None:
        self._database = database
        self._signing = signing

    async def create_account(self, email: str) -> str:
        """Returns the new account's ID.

        Raises:
            Conflict: the address has an account.
        """
        account_id = f"acct_{secrets.token_hex(10)}"
        async with self._database.pool.acquire() as connection, connection.transaction():
            try:
                await connection.execute(
                    "insert into control.accounts (id, email) values ($1, lower($2))", account_id, email
                )
            except asyncpg.UniqueViolationError:
                raise Conflict("there is an account with this e-mail address already") from None
            await enqueue(connection, topics.ACCOUNTS, account_id, AccountChanged(account_id=account_id))
        return account_id

    async def accounts(self) -> list[dict[str, Any]]:
        """All accounts, oldest first."""
        rows = await self._database.pool.fetch(
            "select id, email, disabled, created_at from control.accounts order by 4"
        )
        return [dict(row) for row in rows]

    async def create_key(self, account_id: str, name: str, ttl_s: int) -> IssuedKey:
        """Mints an API key.

        Raises:
            NotFound: no such account.
        """
        key_id = secrets.token_hex(12)
        expires_at = datetime.now(UTC) + timedelta(seconds=ttl_s)
        async with self._database.pool.acquire() as connection, connection.transaction():
            account = await connection.fetchrow(
                "select token_epoch, disabled from control.accounts where id = $1 for share", account_id
            )
            if account is None:
                raise NotFound(f"there is no account {account_id!r}; `sluice account list` shows those that there are")
            if account["disabled"]:
                raise BadInput(f"the account {account_id!r} is disabled")
            token = self._signing.api_key(
                jti=key_id, account_id=account_id, token_epoch=account["token_epoch"], ttl_s=ttl_s
            )
            await connection.execute(
                "insert into control.api_keys (id, account_id, name, fingerprint, expires_at) "
                "values ($1, $2, $3, $4, $5)",
                key_id,
                account_id,
                name,
                fingerprint(token),
                expires_at,
            )
        return IssuedKey(key_id, token, expires_at)

    async def keys(self, account_id: str) -> list[dict[str, Any]]:
        """An account's keys, oldest first, without the keys themselves."""
        rows = await self._database.pool.fetch(
            "select id, name, fingerprint, created_at, expires_at, revoked_at from control.api_keys "
            "where account_id = $1 order by created_at",
            account_id,
        )
        return [dict(row) for row in rows]

    async def revoke_key(self, key_id: str) -> None:
        """Stops a key from working; doing it twice is fine.

        Raises:
            NotFound: no such key.
        """
        async with self._database.pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "update control.api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 "
                "returning revoked_at, expires_at",
                key_id,
            )
            if row is None:
                raise NotFound(f"there is no key {key_id!r}; `sluice key list` shows those that there are")
            await enqueue(
                connection, topics.REVOCATIONS, key_id, revocation(key_id, row["revoked_at"], row["expires_at"])
            )
