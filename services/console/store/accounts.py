"""Accounts. Every change, its audit entry and its records are one transaction."""

import secrets
from datetime import datetime

import asyncpg

from contracts import topics
from contracts.control import AccountChanged
from libs.database.pool import Connection
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.cursors import Position, Slice
from services.console.errors import BadInput, Conflict, NotFound
from services.console.outbox import enqueue
from services.console.store.audit import note


class Account(Answer):
    """An account."""

    id: str
    email: str
    disabled: bool
    created_at: datetime

    @property
    def position(self) -> Position:
        """Among accounts."""
        return Position(self.created_at, self.id)


async def create(connection: Connection, actor: Actor, email: str) -> str:
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


async def rows(connection: Connection, part: Slice, *, email: str | None = None) -> list[Account]:
    """Accounts, oldest first.

    Args:
        email: only those whose address holds this.
    """
    found = await connection.fetch(
        "select id, email, disabled, created_at from control.accounts "
        "where ($1::timestamptz is null or (created_at, id) > ($1, $2)) "
        "and ($4::text is null or position(lower($4) in email) > 0) order by created_at, id limit $3",
        part.at,
        part.id,
        part.rows,
        email,
    )
    return [Account(**row) for row in found]


async def find(connection: Connection, id_or_email: str) -> str:
    """The ID of an account that is named by its ID or its e-mail address. Raises NotFound."""
    found: str | None = await connection.fetchval(
        "select id from control.accounts where id = $1 or email = lower($1)", id_or_email
    )
    if found is None:
        raise NotFound(f"there is no account {id_or_email!r}")
    return found


async def set_disabled(connection: Connection, actor: Actor, account_id: str, disabled: bool) -> None:
    """Locks an account out, or lets it in again. Raises NotFound."""
    await _change(connection, account_id, "disabled = $2", disabled)
    await note(connection, actor, "account.disable" if disabled else "account.enable", account_id)


async def sign_out_everywhere(connection: Connection, actor: Actor, account_id: str) -> None:
    """Ends every key and organization token of an account. Raises NotFound."""
    await _change(connection, account_id, "token_epoch = token_epoch + $2", 1)
    await connection.execute(
        "update control.api_keys set revoked_at = coalesce(revoked_at, now()) where account_id = $1", account_id
    )
    await note(connection, actor, "account.sign_out_everywhere", account_id)


async def _change(connection: Connection, account_id: str, assignment: str, value: object) -> None:
    row = await connection.fetchrow(
        f"update control.accounts set {assignment} where id = $1 returning token_epoch, disabled",  # noqa: S608
        account_id,
        value,
    )
    if row is None:
        raise _no_account(account_id)
    record = AccountChanged(account_id=account_id, token_epoch=row["token_epoch"], disabled=row["disabled"])
    await enqueue(connection, topics.ACCOUNTS, record)


async def exists(connection: Connection, account_id: str) -> None:
    """Raises NotFound where there is no such account."""
    if not await connection.fetchval("select true from control.accounts where id = $1", account_id):
        raise _no_account(account_id)


async def token_epoch(connection: Connection, account_id: str) -> int:
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


def _no_account(account_id: str) -> NotFound:
    return NotFound(f"there is no account {account_id!r}, or it is not yours")


async def emails(connection: Connection, account_ids: list[str]) -> dict[str, str]:
    """The e-mail addresses of some accounts."""
    rows = await connection.fetch("select id, email from control.accounts where id = any($1)", account_ids)
    return {row["id"]: row["email"] for row in rows}
