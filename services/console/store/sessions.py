"""Who is signed in at the web console, and the links by which one signs in. Neither token is stored, only its hash."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TypeVar

import orjson

from libs.database.pool import Connection
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.shown_once import seal, unseal
from services.console.store.audit import note
from services.console.store.keys import IssuedKey

SESSION_TTL = timedelta(hours=12)
LINK_TTL = timedelta(minutes=10)
SHOWN_WITHIN = timedelta(minutes=1)
"""A page that is never loaded shows nothing later."""


class SignInLink(Answer):
    """Works once, and not for long."""

    path: str
    """Below the console's address."""
    expires_at: datetime


Shown = IssuedKey | SignInLink
S = TypeVar("S", IssuedKey, SignInLink)


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


async def show_once(connection: Connection, token: str, shown: Shown) -> None:
    """Keeps something for the session's next page of this kind; the database has it sealed only."""
    await connection.execute(
        "update control.sessions set shown_once = $2, shown_until = now() + $3 where id = $1",
        _hash(token),
        seal(
            token, orjson.dumps([type(shown).__name__, shown.model_dump(mode="json")]).decode(), secrets.token_bytes(12)
        ),
        SHOWN_WITHIN,
    )


async def take_shown(connection: Connection, token: str, kind: type[S]) -> S | None:
    """What is to be shown, once: it is forgotten. None where there is nothing of this kind."""
    found = await connection.fetchval(
        "select shown_once from control.sessions where id = $1 and shown_until > now() for update", _hash(token)
    )
    text = unseal(token, found) if found else None
    name, content = orjson.loads(text) if text else (None, None)
    if name != kind.__name__:
        return None
    await connection.execute(
        "update control.sessions set shown_once = null, shown_until = null where id = $1", _hash(token)
    )
    return kind.model_validate(content)


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
