"""Limits that owners set, and organizations' teams. A change, its audit entry and its record are one transaction."""

from typing import Any

import orjson

from contracts import topics
from contracts.limits import LimitsSet
from libs.database.pool import Connection
from services.console.core.authorization import Actor
from services.console.core.records import limits, organization_of
from services.console.outbox import enqueue, enqueue_deletion
from services.console.store.audit import note


async def current(connection: Connection, owner: str, *, lock: bool = False) -> LimitsSet:
    """The newest version; one that is empty where none was ever set.

    Args:
        lock: until the transaction ends nobody else changes them.
    """
    if lock:
        await connection.execute("select pg_advisory_xact_lock(hashtext('limits'), hashtext($1))", owner)
    row = await connection.fetchrow("select owner, version, document from control.limits where owner = $1", owner)
    return limits(owner, row["version"], orjson.loads(row["document"])) if row else LimitsSet(owner=owner, version=1)


async def put(connection: Connection, actor: Actor, new: LimitsSet, action: str, **details: Any) -> None:
    """Keeps a version that follows `current`."""
    await connection.execute(
        "insert into control.limits (owner, version, document, set_by) values ($1, $2, $3, $4) on conflict (owner) "
        "do update set version = excluded.version, document = excluded.document, set_by = excluded.set_by, "
        "set_at = now()",
        new.owner,
        new.version,
        new.model_dump_json(include={"limits", "teams"}),
        actor.name,
    )
    await enqueue(connection, topics.LIMITS, new)
    await note(connection, actor, action, new.owner, organization_id=organization_of(new.owner), **details)


async def remove(connection: Connection, owner: str) -> None:
    """Ends all limits of an owner that is no more."""
    if await connection.fetchval("delete from control.limits where owner = $1 returning 1", owner):
        await enqueue_deletion(connection, topics.LIMITS, owner)
