"""Policies of organizations, by version. A change, its audit entry and its record are one transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from contracts import topics
from contracts.control import PolicySet
from libs.database.pool import Connection
from services.console.core.authorization import Actor
from services.console.core.records import policy
from services.console.outbox import enqueue
from services.console.store.audit import note


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A version of a policy, amounts in microdollars."""

    version: int
    """0 where none was ever set."""
    document: dict[str, Any]
    set_by: str | None
    set_at: datetime | None

    def rules(self, organization_id: str) -> PolicySet:
        """As services that decide have it."""
        return policy(organization_id, max(self.version, 1), self.document)


async def set_document(connection: Connection, actor: Actor, organization_id: str, document: dict[str, Any]) -> int:
    """Sets the next version of a policy and returns its number. Lock the organization first."""
    version: int = await connection.fetchval(
        "insert into control.policies (organization_id, version, document, set_by) "
        "select $1, coalesce(max(version), 0) + 1, $2, $3 from control.policies where organization_id = $1 "
        "returning version",
        organization_id,
        orjson.dumps(document).decode(),
        actor.name,
    )
    await enqueue(connection, topics.POLICIES, policy(organization_id, version, document))
    await note(connection, actor, "policy.set", organization_id, organization_id=organization_id, version=version)
    return version


async def current(connection: Connection, organization_id: str) -> StoredPolicy:
    """The newest version; version 0, which allows all, where none was ever set."""
    row = await connection.fetchrow(
        "select version, document, set_by, set_at from control.policies where organization_id = $1 "
        "order by version desc limit 1",
        organization_id,
    )
    if row is None:
        return StoredPolicy(0, {}, None, None)
    return StoredPolicy(row["version"], orjson.loads(row["document"]), row["set_by"], row["set_at"])
