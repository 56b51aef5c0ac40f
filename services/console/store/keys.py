"""API keys. Every change, its audit entry and its records are one transaction."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from pydantic import Field

from contracts import topics
from libs.database.pool import Connection
from libs.identity.tokens import fingerprint
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.cursors import Position, Slice
from services.console.core.limits_document import changed, renamed
from services.console.core.records import revocation
from services.console.errors import Conflict, NotFound
from services.console.outbox import enqueue
from services.console.signing import SigningKeys
from services.console.store import accounts, limits
from services.console.store.audit import note

MOST_WORKING = 1_000
"""Keys of one account."""

_COLUMNS = "id, name, scopes, fingerprint, created_at, expires_at, last_used_at, revoked_at"


class IssuedKey(Answer):
    """A new API key; ``key`` is shown once and stored nowhere."""

    id: str
    key: str = Field(repr=False)
    expires_at: datetime


class Key(Answer):
    """An API key, without the key itself."""

    id: str
    name: str
    scopes: list[str]
    fingerprint: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def position(self) -> Position:
        """Among its account's."""
        return Position(self.created_at, self.id)

    @property
    def works(self) -> bool:
        """Neither revoked nor past its end."""
        return self.revoked_at is None and self.expires_at > datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class OwnedKey:
    """A key and whose it is."""

    account_id: str
    key: Key


async def create(
    connection: Connection,
    actor: Actor,
    signing: SigningKeys,
    account_id: str,
    name: str,
    ttl_s: int,
    scopes: list[str],
    meters: Mapping[str, str | int] | None = None,
) -> IssuedKey:
    """Mints an API key. One that is minted by another key ends with it at the latest.

    Args:
        meters: limits of its own, as `limits_document.changed` has them.

    Raises:
        NotFound, BadInput: as `accounts.token_epoch` and `limits_document.changed` do.
        Conflict: the account has too many that work.
    """
    epoch = await accounts.token_epoch(connection, account_id)
    working = await connection.fetchval(
        "select count(*) from control.api_keys where account_id = $1 and revoked_at is null and expires_at > now()",
        account_id,
    )
    if working >= MOST_WORKING:
        raise Conflict(f"{MOST_WORKING} keys of this account work; revoke some first")
    if actor.ends_at:
        ttl_s = max(1, min(ttl_s, int((actor.ends_at - datetime.now(UTC)).total_seconds())))
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
        fingerprint(key_id),
        expires_at,
        " ".join(scopes),
    )
    await note(connection, actor, "key.create", key_id, account=account_id, name=name, scopes=scopes)
    if meters:
        before = await limits.current(connection, f"acct:{account_id}", lock=True)
        new = changed(before, f"key:{fingerprint(key_id)}", meters)
        await limits.put(connection, actor, new, "limits.set", key=key_id, meters=dict(meters))
    return IssuedKey(id=key_id, key=token, expires_at=expires_at)


async def rows(connection: Connection, account_id: str, part: Slice) -> list[Key]:
    """An account's keys, oldest first, without the keys themselves."""
    found = await connection.fetch(
        f"select {_COLUMNS} from control.api_keys where account_id = $1 "  # noqa: S608
        "and ($2::timestamptz is null or (created_at, id) > ($2, $3)) order by created_at, id limit $4",
        account_id,
        part.at,
        part.id,
        part.rows,
    )
    return [_key(row) for row in found]


async def find(connection: Connection, key_id: str) -> OwnedKey:
    """One key, locked. Raises NotFound."""
    row = await connection.fetchrow(
        f"select account_id, {_COLUMNS} from control.api_keys where id = $1 for update",  # noqa: S608
        key_id,
    )
    if row is None:
        raise no_key(key_id)
    return OwnedKey(row["account_id"], _key(row))


async def revoke(connection: Connection, actor: Actor, key_id: str) -> None:
    """Stops a key from working; doing it twice is fine. Raises NotFound."""
    row = await connection.fetchrow(
        "update control.api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1 "
        "returning revoked_at, expires_at, account_id, fingerprint",
        key_id,
    )
    if row is None:
        raise no_key(key_id)
    await enqueue(connection, topics.REVOCATIONS, revocation(key_id, row["revoked_at"], row["expires_at"]))
    await _pass_limits_on(connection, actor, row["account_id"], row["fingerprint"], None)
    await note(connection, actor, "key.revoke", key_id, account=row["account_id"])


async def rotate(connection: Connection, actor: Actor, signing: SigningKeys, old: OwnedKey) -> IssuedKey:
    """Revokes a key and mints one of the same name, scopes, lifetime and limits. Raises as `create` does."""
    key = old.key
    ttl_s = max(1, int((key.expires_at - key.created_at).total_seconds()))
    issued = await create(connection, actor, signing, old.account_id, key.name, ttl_s, key.scopes)
    await _pass_limits_on(connection, actor, old.account_id, key.fingerprint, fingerprint(issued.id))
    await revoke(connection, actor, key.id)
    return issued


async def _pass_limits_on(connection: Connection, actor: Actor, account_id: str, old: str, new: str | None) -> None:
    """A key's own limits, by fingerprint, become another's; with None they end."""
    after = renamed(await limits.current(connection, f"acct:{account_id}", lock=True), old, new)
    if after:
        await limits.put(connection, actor, after, "limits.set", key=old, passed_on_to=new)


async def note_used(connection: Connection, used: dict[str, datetime]) -> None:
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


def _key(row: asyncpg.Record) -> Key:
    return Key(**dict(row) | {"scopes": row["scopes"].split()})
