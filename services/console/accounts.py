"""Accounts and their API keys. Every change, its audit entry and its records are one transaction."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from contracts import topics
from contracts.control import AccountChanged
from libs.identity.tokens import fingerprint
from services.console.audit import note
from services.console.core.authorization import Actor
from services.console.core.records import revocation
from services.console.errors import BadInput, Conflict, NotFound
from services.console.outbox import enqueue
from services.console.signing import SigningKeys

_KEY_COLUMNS = "id, name, scopes, fingerprint, created_at, expires_at, last_used_at, revoked_at"


@dataclass(frozen=True, slots=True, repr=False)
class IssuedKey:
    """A new API key; ``token`` is shown once and stored nowhere."""

    key_id: str
    token: str
    expires_at: datetime


async def create(connection: Any, actor: Actor, email: str) -> str:
    """Returns the new account's ID.

    Raises:
        Conflict: the address has an account.
    """
    account_id = f"acct_{secrets.token_hex(10)}"
    try:
        await connection.execute("insert into control.accounts (id, email) values ($1, lower($2))", account_id, email)
    except asyncpg.UniqueViolationError:
        raise Conflict("there is an account with this e-mail address already") from None
    await enqueue(connection, topics.ACCOUNTS, AccountChanged(account_id=account_id))
    await note(connection, actor, "account.create", account_id)
    return account_id


async def rows(connection: Any) -> list[dict[str, Any]]:
    """All accounts, oldest first."""
    found = await connection.fetch(
        "select id, email, disabled, created_at from control.accounts order by created_at, id"
    )
    return [dict(row) for row in found]


async def find(connection: Any, id_or_email: str) -> str:
    """The ID of an account that is named by its ID or its e-mail address. Raises NotFound."""
    found: str | None = await connection.fetchval(
        "select id from control.accounts where id = $1 or email = lower($1)", id_or_email
    )
    if found is None:
        raise NotFound(f"there is no account {id_or_email!r}")
    return found


async def set_disabled(connection: Any, actor: Actor, account_id: str, disabled: bool) -> None:
    """Locks an account out, or lets it in again. Raises NotFound."""
    await _change(connection, account_id, "disabled = $2", disabled)
    await note(connection, actor, "account.disable" if disabled else "account.enable", account_id)


async def sign_out_everywhere(connection: Any, actor: Actor, account_id: str) -> None:
    """Ends every key and organization token of an account. Raises NotFound."""
    await _change(connection, account_id, "token_epoch = token_epoch + $2", 1)
    await connection.execute(
        "update control.api_keys set revoked_at = coalesce(revoked_at, now()) where account_id = $1", account_id
    )
    await note(connection, actor, "account.sign_out_everywhere", account_id)


async def _change(connection: Any, account_id: str, assignment: str, value: Any) -> None:
    row = await connection.fetchrow(
        f"update control.accounts set {assignment} where id = $1 returning token_epoch, disabled",  # noqa: S608
        account_id,
        value,
    )
    if row is None:
        raise _no_account(account_id)
    record = AccountChanged(account_id=account_id, token_epoch=row["token_epoch"], disabled=row["disabled"])
    await enqueue(connection, topics.ACCOUNTS, record)


async def token_epoch(connection: Any, account_id: str) -> int:
    """The epoch that new tokens of an account carry.

    Raises:
        NotFound: no such account.
        BadInput: it is disabled.
    """
    account = await connection.fetchrow(
        "select token_epoch, disabled from control.accounts where id = $1 for share", account_id
    )
    if account is None:
        raise _no_account(account_id)
    if account["disabled"]:
        raise BadInput(f"the account {account_id!r} is disabled")
    return int(account["token_epoch"])


async def create_key(
    connection: Any, actor: Actor, signing: SigningKeys, account_id: str, name: str, ttl_s: int, scopes: list[str]
) -> IssuedKey:
    """Mints an API key. Raises NotFound or BadInput as `token_epoch` does."""
    epoch = await token_epoch(connection, account_id)
    key_id = secrets.token_hex(12)
    expires_at = datetime.now(UTC) + timedelta(seconds=ttl_s)
    token = await signing.sign(
        connection, jti=key_id, account_id=account_id, token_epoch=epoch, ttl_s=ttl_s, scopes=scopes
    )
    await connection.execute(
        "insert into control.api_keys (id, account_id, name, fingerprint, expires_at, scopes) "
        "values ($1, $2, $3, $4, $5, $6)",
        key_id,
        account_id,
        name,
        fingerprint(token),
        expires_at,
        " ".join(scopes),
    )
    await note(connection, actor, "key.create", key_id, account=account_id, name=name, scopes=scopes)
    return IssuedKey(key_id, token, expires_at)


async def keys(connection: Any, account_id: str) -> list[dict[str, Any]]:
    """An account's keys, oldest first, without the keys themselves."""
    found = await connection.fetch(
        f"select {_KEY_COLUMNS} from control.api_keys where account_id = $1 order by created_at, id",  # noqa: S608
        account_id,
    )
    return [dict(row) | {"scopes": row["scopes"].split()} for row in found]


async def key(connection: Any, key_id: str) -> dict[str, Any]:
    """One key's row, locked. Raises NotFound."""
    row = await connection.fetchrow("select * from control.api_keys where id = $1 for update", key_id)
    if row is None:
        raise no_key(key_id)
    return dict(row)


async def revoke_key(connection: Any, actor: Actor, key_id: str) -> None:
    """Stops a key from working; doing it twice is fine. Raises NotFound."""
    row = await connection.fetchrow(
        "update control.api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 "
        "returning revoked_at, expires_at, account_id",
        key_id,
    )
    if row is None:
        raise no_key(key_id)
    await enqueue(connection, topics.REVOCATIONS, revocation(key_id, row["revoked_at"], row["expires_at"]))
    await note(connection, actor, "key.revoke", key_id, account=row["account_id"])


async def note_used(connection: Any, used: dict[str, datetime]) -> None:
    """Keeps when keys, named by fingerprint, were last used."""
    await connection.execute(
        "update control.api_keys k set last_used_at = greatest(k.last_used_at, u.at) "
        "from unnest($1::text[], $2::timestamptz[]) as u (fingerprint, at) where k.fingerprint = u.fingerprint",
        list(used),
        list(used.values()),
    )


def no_key(key_id: str) -> NotFound:
    """The answer for a key that does not exist, and for another's."""
    return NotFound(f"there is no key {key_id!r}; `sluice key list` shows those that there are")


def _no_account(account_id: str) -> NotFound:
    return NotFound(f"there is no account {account_id!r}, or it is not yours")
