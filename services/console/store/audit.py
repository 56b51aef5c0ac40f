"""The audit trail: who changed what, when, from where. Written in the transaction of the change itself."""

from datetime import datetime
from typing import Any

import orjson

from libs.database.pool import Connection
from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.cursors import Position, Slice


class AuditEntry(Answer):
    """One change."""

    id: int
    at: datetime
    actor: str
    """An account's ID, ``operator``, or ``stripe``."""
    origin: str
    """The address that the call came from."""
    action: str
    target: str
    organization_id: str | None
    details: dict[str, Any]

    @property
    def position(self) -> Position:
        """In the trail."""
        return Position(self.at, str(self.id))


async def note(
    connection: Connection,
    actor: Actor,
    action: str,
    target: str,
    *,
    organization_id: str | None = None,
    **details: Any,
) -> None:
    """Adds an entry. Never give it a key, a token or a password."""
    await connection.execute(
        "insert into control.audit (actor, origin, action, target, organization_id, details) "
        "values ($1, $2, $3, $4, $5, $6)",
        actor.name,
        actor.origin,
        action,
        target,
        organization_id,
        orjson.dumps(details).decode(),
    )


async def entries(
    connection: Connection,
    organization_id: str | None,
    part: Slice,
    *,
    actor: str | None = None,
    action: str | None = None,
) -> list[AuditEntry]:
    """Newest first; of one organization, or (None) of all.

    Args:
        action: one action, or (``member.``) all that begin so.
    """
    rows = await connection.fetch(
        "select id, at, actor, origin, action, target, organization_id, details from control.audit "
        "where ($1::text is null or organization_id = $1) and ($2::bigint is null or id < $2) "
        "and ($4::text is null or actor = $4) and ($5::text is null or starts_with(action, $5)) "
        "order by id desc limit $3",
        organization_id,
        int(part.id) if part.id.isdigit() else None,
        part.rows,
        actor,
        action,
    )
    return [AuditEntry(**dict(row) | {"details": orjson.loads(row["details"])}) for row in rows]
