"""Who is signed in at the web console, and the links by which one signs in. Neither token is stored, only its hash."""

import hashlib
import secrets
from datetime import datetime, timedelta

from libs.database.pool import Connection
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.store.audit import note

SESSION_TTL = timedelta(hours=12)
LINK_TTL = timedelta(minutes=10)


class SignInLink(Answer):
    """Works once, and not for long."""

    path: str
    """Below the console's address."""
    expires_at: datetime


async def begin(connection: Connection, actor: Actor, key_id: str | None, operator_token: str) -> str:
    """Begins a session and returns its token, for a cookie.

    Args:
        key_id: the API key that one signed in with; the session ends with it. None: by a link, or as the operator.
    """
    await connection.execute("delete from control.sessions where expires_at < now()")
    token = secrets.token_urlsafe(32)
    await connection.execute(
        "insert into control.sessions (id, account_id, key_id, operator, token_epoch, expires_at) "
        "values ($1, $2, $3, $4, coalesce((select token_epoch from control.accounts where id = $2), 0), now() + $5)",
        _hash(token),
        actor.account_id,
        key_id,
        _hash(operator_token) if actor.operator else None,
        SESSION_TTL,
    )
    await note(connection, actor, "session.begin", actor.name)
    return token


async def find(
    connection: Connection, token: str, operator_token: str, origin: str, scopes: frozenset[str]
) -> Actor | None:
    """Whose session this is; None where it ended, or its key, account or operator token did."""
    row = await connection.fetchrow(
        "select s.account_id, k.expires_at from control.sessions s left join control.accounts a on a.id = s.account_id "
        "left join control.api_keys k on k.id = s.key_id where s.id = $1 and s.expires_at > now() and ("
        "s.operator = $2 or (not a.disabled and a.token_epoch = s.token_epoch and "
        "(s.key_id is null or (k.revoked_at is null and k.expires_at > now()))))",
        _hash(token),
        _hash(operator_token),
    )
    return None if row is None else Actor(row["account_id"], scopes, origin, row["expires_at"])


async def end(connection: Connection, actor: Actor, token: str) -> None:
    """Ends a session."""
    await connection.execute("delete from control.sessions where id = $1", _hash(token))
    await note(connection, actor, "session.end", actor.name)


async def make_link(connection: Connection, actor: Actor, account_id: str | None) -> SignInLink:
    """A link that signs in an account, or (None) the operator."""
    await connection.execute("delete from control.sign_in_links where expires_at < now()")
    code = secrets.token_urlsafe(32)
    expires_at = await connection.fetchval(
        "insert into control.sign_in_links (id, account_id, expires_at) values ($1, $2, now() + $3) "
        "returning expires_at",
        _hash(code),
        account_id,
        LINK_TTL,
    )
    await note(connection, actor, "session.link", account_id or "operator")
    return SignInLink(path=f"/sign-in?code={code}", expires_at=expires_at)


async def use_link(connection: Connection, code: str, origin: str, scopes: frozenset[str]) -> Actor | None:
    """Who a link signs in; it works no more. None where it was used, or its time is over."""
    row = await connection.fetchrow(
        "delete from control.sign_in_links where id = $1 and expires_at > now() returning account_id", _hash(code)
    )
    return None if row is None else Actor(row["account_id"], scopes, origin)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
