"""Organizations and their members. Every change, its audit entry and its records are one transaction."""

import secrets
from datetime import datetime

from contracts import topics
from libs.database.pool import Connection
from services.console.answers import Answer
from services.console.core.authorization import Actor, Role
from services.console.core.cursors import Position, Slice
from services.console.core.limits_document import without_member
from services.console.core.records import membership, membership_id
from services.console.errors import Conflict, NotFound
from services.console.outbox import enqueue, enqueue_deletion
from services.console.store import limits
from services.console.store.audit import note

MOST_OWNED = 100
"""Organizations that an account may make for itself."""


class Organization(Answer):
    """An organization, and the caller's role in it."""

    id: str
    name: str
    role: Role | None = None
    """Left out where the operator asks."""
    created_at: datetime

    @property
    def position(self) -> Position:
        """Among organizations."""
        return Position(self.created_at, self.id)


class Member(Answer):
    """A member of an organization."""

    account_id: str
    email: str
    role: Role
    created_at: datetime

    @property
    def position(self) -> Position:
        """Among its organization's."""
        return Position(self.created_at, self.account_id)


async def create(connection: Connection, actor: Actor, name: str, owner: str) -> str:
    """Returns the new organization's ID.

    Raises:
        NotFound: no such account as its owner.
        Conflict: the account owns too many.
    """
    owned = await connection.fetchval(
        "select count(*) from control.memberships where account_id = $1 and role = 'owner'", owner
    )
    if owned >= MOST_OWNED and not actor.operator:
        raise Conflict(f"you own {MOST_OWNED} organizations; delete one, or ask the operator")
    organization_id = f"org_{secrets.token_hex(10)}"
    await connection.execute("insert into control.organizations (id, name) values ($1, $2)", organization_id, name)
    await note(connection, actor, "organization.create", organization_id, organization_id=organization_id, name=name)
    await set_member(connection, actor, organization_id, owner, Role.OWNER)
    return organization_id


async def rows(connection: Connection, account_id: str | None, part: Slice) -> list[Organization]:
    """The organizations of an account with its role there, or (None) all; oldest first."""
    mine = "join control.memberships m on m.organization_id = o.id and m.account_id = $1"
    found = await connection.fetch(
        f"select o.id, o.name, o.created_at{', m.role' if account_id else ''} from control.organizations o "  # noqa: S608
        f"{mine if account_id else ''} where ($1::text is null or true) "
        "and ($2::timestamptz is null or (o.created_at, o.id) > ($2, $3)) order by o.created_at, o.id limit $4",
        account_id,
        part.at,
        part.id,
        part.rows,
    )
    return [Organization(**row) for row in found]


async def role_of(connection: Connection, organization_id: str, account_id: str | None) -> Role | None:
    """The role of an account in an organization, if it has one."""
    role = await connection.fetchval(
        "select role from control.memberships where organization_id = $1 and account_id = $2",
        organization_id,
        account_id,
    )
    return Role(role) if role else None


async def find_member(connection: Connection, organization_id: str, id_or_email: str) -> str | None:
    """The account of a member that is named by its ID or its e-mail address."""
    found: str | None = await connection.fetchval(
        "select a.id from control.memberships m join control.accounts a on a.id = m.account_id "
        "where m.organization_id = $1 and (a.id = $2 or a.email = lower($2))",
        organization_id,
        id_or_email,
    )
    return found


async def member_of(connection: Connection, organization_id: str, id_or_email: str) -> str:
    """The same, of whom there must be.

    Raises:
        NotFound: no member; the answer is the same whether there is such an account.
    """
    found = await find_member(connection, organization_id, id_or_email)
    if found is None:
        raise NotFound(f"{id_or_email!r} is not a member of this organization; invite whom you want to be one")
    return found


async def name_of(connection: Connection, organization_id: str) -> str:
    """Raises NotFound."""
    return _found(
        organization_id,
        await connection.fetchval("select name from control.organizations where id = $1", organization_id),
    )


async def lock(connection: Connection, organization_id: str) -> str:
    """Locks an organization for the transaction and returns its name. Raises NotFound."""
    return _found(
        organization_id,
        await connection.fetchval("select name from control.organizations where id = $1 for update", organization_id),
    )


def _found(organization_id: str, name: str | None) -> str:
    if name is None:
        raise NotFound(f"there is no organization {organization_id!r}, or you are not a member of it")
    return name


async def members(connection: Connection, organization_id: str, part: Slice) -> list[Member]:
    """Members, oldest first."""
    found = await connection.fetch(
        "select m.account_id, a.email, m.role, m.created_at from control.memberships m "
        "join control.accounts a on a.id = m.account_id where organization_id = $1 "
        "and ($2::timestamptz is null or (m.created_at, m.account_id) > ($2, $3)) "
        "order by m.created_at, m.account_id limit $4",
        organization_id,
        part.at,
        part.id,
        part.rows,
    )
    return [Member(**row) for row in found]


async def emails(connection: Connection, organization_id: str, account_ids: list[str]) -> dict[str, str]:
    """The e-mail addresses of those accounts that are members, by ID."""
    found = await connection.fetch(
        "select a.id, a.email from control.memberships m join control.accounts a on a.id = m.account_id "
        "where m.organization_id = $1 and m.account_id = any($2)",
        organization_id,
        account_ids,
    )
    return {row["id"]: row["email"] for row in found}


async def names(connection: Connection, organization_ids: list[str]) -> dict[str, str]:
    """The names of some organizations, by ID."""
    found = await connection.fetch("select id, name from control.organizations where id = any($1)", organization_ids)
    return {row["id"]: row["name"] for row in found}


async def set_member(connection: Connection, actor: Actor, organization_id: str, account_id: str, role: Role) -> None:
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


async def remove_member(connection: Connection, actor: Actor, organization_id: str, account_id: str) -> None:
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
    set_ = without_member(await limits.current(connection, f"org:{organization_id}", lock=True), account_id)
    if set_:
        await limits.put(connection, actor, set_, "team.change", removed=account_id)
    await note(connection, actor, "member.remove", account_id, organization_id=organization_id)


async def delete(connection: Connection, actor: Actor, organization_id: str) -> None:
    """Ends an organization, its memberships, policies and limits. Lock it first. Running requests run to their end."""
    gone = await connection.fetch(
        "select account_id from control.memberships where organization_id = $1", organization_id
    )
    for row in gone:
        await enqueue_deletion(connection, topics.MEMBERSHIPS, membership_id(organization_id, row["account_id"]))
    await enqueue_deletion(connection, topics.POLICIES, organization_id)
    await limits.remove(connection, f"org:{organization_id}")
    await connection.execute("delete from control.organizations where id = $1", organization_id)
    await note(connection, actor, "organization.delete", organization_id, organization_id=organization_id)


async def _check_not_last_owner(connection: Connection, organization_id: str, account_id: str) -> None:
    owners = await connection.fetch(
        "select account_id from control.memberships where organization_id = $1 and role = 'owner'", organization_id
    )
    if [row["account_id"] for row in owners] == [account_id]:
        raise Conflict("this is the organization's last owner; make another member an owner first, or delete it")
