"""The console's records for the other services."""

from collections.abc import AsyncIterator
from typing import Any

import orjson

from contracts import topics
from contracts.control import AccountChanged
from contracts.credit import CreditSettingsSet
from contracts.record import Record
from contracts.topics import Topic
from libs.database import outbox
from libs.database.outbox import Outgoing
from services.console.core.records import membership, membership_id, policy, published, revocation

SCHEMA = "control"


async def enqueue(connection: Any, topic: Topic, key: str, record: Record | None) -> None:
    """Adds a record (None deletes the key) to the outbox, in the caller's transaction."""
    await outbox.enqueue(connection, SCHEMA, [Outgoing(topic, key, record)])


async def states(connection: Any) -> AsyncIterator[Outgoing]:
    """A record for each state that the control topics must hold."""
    async for row in connection.cursor("select kid, public_key, not_after from control.signing_keys"):
        yield Outgoing(topics.SIGNING_KEYS, row["kid"], published(row["kid"], row["public_key"], row["not_after"]))
    async for row in connection.cursor("select id, token_epoch, disabled from control.accounts"):
        record = AccountChanged(account_id=row["id"], token_epoch=row["token_epoch"], disabled=row["disabled"])
        yield Outgoing(topics.ACCOUNTS, row["id"], record)
    revoked = "select id, revoked_at, expires_at from control.api_keys where revoked_at is not null"
    async for row in connection.cursor(f"{revoked} and expires_at > now()"):
        yield Outgoing(topics.REVOCATIONS, row["id"], revocation(row["id"], row["revoked_at"], row["expires_at"]))
    async for row in connection.cursor("select organization_id, account_id, role from control.memberships"):
        organization_id, account_id, role = row
        yield Outgoing(
            topics.MEMBERSHIPS,
            membership_id(organization_id, account_id),
            membership(organization_id, account_id, role),
        )
    newest = "select distinct on (organization_id) organization_id, version, document from control.policies"
    async for row in connection.cursor(f"{newest} order by organization_id, version desc"):
        document = orjson.loads(row["document"])
        yield Outgoing(
            topics.POLICIES, row["organization_id"], policy(row["organization_id"], row["version"], document)
        )
    async for row in connection.cursor("select * from control.credit_settings"):
        yield Outgoing(topics.CREDIT_SETTINGS, row["owner"], CreditSettingsSet.model_validate(dict(row)))
