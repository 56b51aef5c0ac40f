"""Organizations, their members and policies. Every change, its audit entry and its records are one transaction."""

import secrets
from typing import Any

import orjson

from contracts import topics
from services.console.audit import note
from services.console.core.authorization import Actor, Role
from services.console.core.records import membership, membership_id, policy
from services.console.errors import Conflict, NotFound
from services.console.outbox import enqueue, enqueue_deletion


async def create(connection: Any, actor: Actor, name: str, owner: str) -> str:
    """Returns the new organization's ID.

    Raises:
        NotFound: no such account as its owner.
    """
    organization_id = f"org_{secrets.token_hex(10)}"
    await connection.execute("insert into control.organizations (id, name) values ($1, $2)", organization_id, name)
    await note(connection, actor, "organization.create", organization_id, organization_id=organization_id, name=name)
    await set_member(connection, actor, organization_id, owner, Role.OWNER)
    return organization_id


async def rows(connection: Any, account_id: str | None) -> list[dict[str, Any]]:
    """The organizations of an account with its role there, or (None) all."""
    if account_id is None:
        found = await connection.fetch("select id, name, created_at from control.organizations order by created_at, id")
    else:
        found = await connection.fetch(
            "select o.id, o.name, m.role, o.created_at from control.organizations o "
            "join control.memberships m on m.organization_id = o.id where m.account_id = $1 "
            "order by o.created_at, o.id",
            account_id,
        )
    return [dict(row) for row in found]


async def role_of(connection: Any, organization_id: str, account_id: str | None) -> Role | None:
    """The role of an account in an organization, if it has one."""
    role = await connection.fetchval(
        "select role from control.memberships where organization_id = $1 and account_id = $2",
        organization_id,
        account_id,
    )
    return Role(role) if role else None


async def lock(connection: Any, organization_id: str) -> str:
    """Locks an organization for the transaction and returns its name. Raises NotFound."""
    name: str | None = await connection.fetchval(
        "select name from control.organizations where id = $1 for update", organization_id
    )
    if name is None:
        raise NotFound(f"there is no organization {organization_id!r}, or you are not a member of it")
    return name


async def members(connection: Any, organization_id: str) -> list[dict[str, Any]]:
    """All members, oldest first."""
    found = await connection.fetch(
        "select m.account_id, a.email, m.role, m.created_at from control.memberships m "
        "join control.accounts a on a.id = m.account_id where organization_id = $1 order by m.created_at, m.account_id",
        organization_id,
    )
    return [dict(row) for row in found]


async def set_member(connection: Any, actor: Actor, organization_id: str, account_id: str, role: Role) -> None:
    """Makes an account a member, or changes its role. Lock the organization first.

    Raises:
        NotFound: no such account.
        Conflict: it is the last owner and would be one no more.
    """
    if not await connection.fetchval("select 1 from control.accounts where id = $1", account_id):
        raise NotFound(f"there is no account {account_id!r}")
    if role is not Role.OWNER:
        await _check_not_last_owner(connection, organization_id, account_id)
    await connection.execute(
        "insert into control.memberships (organization_id, account_id, role) values ($1, $2, $3) "
        "on conflict (organization_id, account_id) do update set role = excluded.role",
        organization_id,
        account_id,
        role.value,
    )
    await enqueue(
        connection,
        topics.MEMBERSHIPS,
        membership(organization_id, account_id, role.value),
    )
    await note(connection, actor, "member.set", account_id, organization_id=organization_id, role=role.value)


async def remove_member(connection: Any, actor: Actor, organization_id: str, account_id: str) -> None:
    """Ends a membership. Lock the organization first.

    Raises:
        NotFound: it is not a member.
        Conflict: it is the last owner.
    """
    await _check_not_last_owner(connection, organization_id, account_id)
    gone = await connection.fetchval(
        "delete from control.memberships where organization_id = $1 and account_id = $2 returning 1",
        organization_id,
        account_id,
    )
    if not gone:
        raise NotFound(f"the account {account_id!r} is not a member of this organization")
    await enqueue_deletion(connection, topics.MEMBERSHIPS, membership_id(organization_id, account_id))
    await note(connection, actor, "member.remove", account_id, organization_id=organization_id)


async def delete(connection: Any, actor: Actor, organization_id: str) -> None:
    """Ends an organization, its memberships and policies. Lock it first. Running requests run to their end."""
    for member in await members(connection, organization_id):
        await enqueue_deletion(connection, topics.MEMBERSHIPS, membership_id(organization_id, member["account_id"]))
    await enqueue_deletion(connection, topics.POLICIES, organization_id)
    await connection.execute("delete from control.organizations where id = $1", organization_id)
    await note(connection, actor, "organization.delete", organization_id, organization_id=organization_id)


async def set_policy(connection: Any, actor: Actor, organization_id: str, document: dict[str, Any]) -> int:
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


async def current_policy(connection: Any, organization_id: str) -> dict[str, Any]:
    """The newest version; version 0, which allows all, where none was ever set."""
    row = await connection.fetchrow(
        "select version, document, set_by, set_at from control.policies where organization_id = $1 "
        "order by version desc limit 1",
        organization_id,
    )
    if row is None:
        return {"version": 0, "policy": {}, "set_by": None, "set_at": None}
    return {
        "version": row["version"],
        "policy": orjson.loads(row["document"]),
        "set_by": row["set_by"],
        "set_at": row["set_at"],
    }


async def _check_not_last_owner(connection: Any, organization_id: str, account_id: str) -> None:
    owners = await connection.fetch(
        "select account_id from control.memberships where organization_id = $1 and role = 'owner'", organization_id
    )
    if [row["account_id"] for row in owners] == [account_id]:
        raise Conflict("this is the organization's last owner; make another member an owner first, or delete it")
