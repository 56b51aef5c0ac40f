"""The audit trail: who changed what, when, from where. Written in the transaction of the change itself."""

from typing import Any

import orjson

from services.console.core.authorization import Actor

MOST_ROWS = 1_000


async def note(
    connection: Any, actor: Actor, action: str, target: str, *, organization_id: str | None = None, **details: Any
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


async def entries(connection: Any, organization_id: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest entries, newest first; of one organization, or (None) of all."""
    rows = await connection.fetch(
        "select at, actor, origin, action, target, organization_id, details from control.audit "
        "where $1::text is null or organization_id = $1 order by id desc limit $2",
        organization_id,
        limit,
    )
    return [dict(row) | {"details": orjson.loads(row["details"])} for row in rows]
