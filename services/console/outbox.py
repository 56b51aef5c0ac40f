"""The console's records for the other services."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import orjson

from contracts import topics
from contracts.catalog import MOST_VERSIONS, CatalogPublished
from contracts.control import AccountChanged
from contracts.credit import CreditSettingsSet
from contracts.record import Record
from contracts.topic import Topic
from libs.database import outbox
from libs.database.outbox import Outgoing, OutgoingDeletion
from libs.database.pool import Connection
from services.console.core.records import limits, membership, policy, published, revocation

SCHEMA = "control"
R = TypeVar("R", bound=Record)


async def enqueue(connection: Connection, topic: Topic[R], record: R) -> None:
    """Adds a record to the outbox, in the caller's transaction."""
    await outbox.enqueue(connection, SCHEMA, [Outgoing(topic, record)])


async def enqueue_deletion(connection: Connection, topic: Topic[Any], key: str) -> None:
    """Adds the end of a key to the outbox, in the caller's transaction."""
    await outbox.enqueue(connection, SCHEMA, [OutgoingDeletion(topic, key)])


async def states(connection: Connection) -> AsyncIterator[Outgoing[Any]]:
    """A record for each state that the control topics must hold."""
    async for row in connection.cursor("select kid, public_key, not_after from control.signing_keys"):
        yield Outgoing(topics.SIGNING_KEYS, published(row["kid"], row["public_key"], row["not_after"]))
    async for row in connection.cursor("select id, token_epoch, disabled from control.accounts"):
        account = AccountChanged(account_id=row["id"], token_epoch=row["token_epoch"], disabled=row["disabled"])
        yield Outgoing(topics.ACCOUNTS, account)
    revoked = "select id, revoked_at, expires_at from control.api_keys where revoked_at is not null"
    async for row in connection.cursor(f"{revoked} and expires_at > now()"):
        yield Outgoing(topics.REVOCATIONS, revocation(row["id"], row["revoked_at"], row["expires_at"]))
    async for row in connection.cursor("select organization_id, account_id, role from control.memberships"):
        yield Outgoing(topics.MEMBERSHIPS, membership(row["organization_id"], row["account_id"], row["role"]))
    newest = "select distinct on (organization_id) organization_id, version, document from control.policies"
    async for row in connection.cursor(f"{newest} order by organization_id, version desc"):
        document = orjson.loads(row["document"])
        yield Outgoing(topics.POLICIES, policy(row["organization_id"], row["version"], document))
    async for row in connection.cursor("select owner, version, document from control.limits"):
        yield Outgoing(topics.LIMITS, limits(row["owner"], row["version"], orjson.loads(row["document"])))
    versions = f"select record from control.catalog order by version desc limit {MOST_VERSIONS}"  # noqa: S608
    async for row in connection.cursor(versions):
        yield Outgoing(topics.CATALOG, CatalogPublished.model_validate_json(row["record"]))
    async for row in connection.cursor("select * from control.credit_settings"):
        yield Outgoing(topics.CREDIT_SETTINGS, CreditSettingsSet.model_validate(dict(row)))
