"""Invitations into organizations. Who is invited decides; who invites does not learn whether there is an account."""

import secrets
from datetime import datetime, timedelta

import asyncpg

from libs.database.pool import Connection
from services.console.answers import Answer
from services.console.core.authorization import OPERATOR_NAME, Actor, Role
from services.console.core.cursors import Position, Slice
from services.console.errors import Conflict, NotFound
from services.console.store import organizations
from services.console.store.audit import note

TTL = timedelta(days=7)
MOST_OPEN = 100
"""Of one organization."""

_COLUMNS = (
    "i.id, i.organization_id, o.name as organization, i.invited, i.role, i.invited_by, i.created_at, i.expires_at"
)
_STANDS = (
    "i.expires_at > now() and (i.invited_by = $1 or exists (select 1 from control.memberships m "
    "where m.organization_id = i.organization_id and m.account_id = i.invited_by and m.role = 'owner'))"
)
"""Who invited may still do so. $1 is the operator's name."""


class Invitation(Answer):
    """An invitation that is open."""

    id: str
    organization_id: str
    organization: str
    """Its name."""
    invited: str
    """An account's ID or e-mail address, as it was given; there may be no such account."""
    role: Role
    invited_by: str
    created_at: datetime
    expires_at: datetime

    @property
    def position(self) -> Position:
        """Among invitations."""
        return Position(self.created_at, self.id)


async def invite(connection: Connection, actor: Actor, organization_id: str, invited: str, role: Role) -> Invitation:
    """Invites; whoever is invited already is invited anew. Lock the organization first.

    Raises:
        Conflict: it is a member already, or too many invitations are open.
    """
    invited = invited.lower()
    if await organizations.find_member(connection, organization_id, invited):
        raise Conflict(f"{invited!r} is a member already; change its role instead")
    await connection.execute("delete from control.invitations where expires_at < now()")
    await connection.execute(
        "delete from control.invitations where organization_id = $1 and invited = $2", organization_id, invited
    )
    count = await connection.fetchval(
        "select count(*) from control.invitations where organization_id = $1", organization_id
    )
    if count >= MOST_OPEN:
        raise Conflict(f"{MOST_OPEN} invitations of this organization are open; withdraw some first")
    invitation_id = f"inv_{secrets.token_hex(10)}"
    await connection.execute(
        "insert into control.invitations (id, organization_id, invited, role, invited_by, expires_at) "
        "values ($1, $2, $3, $4, $5, now() + $6)",
        invitation_id,
        organization_id,
        invited,
        role.value,
        actor.name,
        TTL,
    )
    await note(connection, actor, "invitation.create", invited, organization_id=organization_id, role=role.value)
    row = await connection.fetchrow(
        f"select {_COLUMNS} from control.invitations i join control.organizations o on o.id = i.organization_id "  # noqa: S608
        "where i.id = $1",
        invitation_id,
    )
    assert row is not None
    return _invitation(row)


async def of_organization(connection: Connection, organization_id: str, part: Slice) -> list[Invitation]:
    """The open invitations of an organization, oldest first."""
    return await _rows(connection, "i.organization_id = $2", organization_id, part)


async def of_account(connection: Connection, account_id: str, part: Slice) -> list[Invitation]:
    """The open invitations of an account, by its ID or its e-mail address; oldest first."""
    mine = "i.invited in (select unnest(array[a.id, a.email]) from control.accounts a where a.id = $2)"
    return await _rows(connection, mine, account_id, part)


async def accept(connection: Connection, actor: Actor, account_id: str, invitation_id: str) -> Invitation:
    """Makes the account a member.

    Raises:
        NotFound: no such invitation of this account is open, or who invited may do so no more.
        Conflict: it is the organization's last owner, and would be one no more.
    """
    taken = await _take(connection, account_id, invitation_id)
    await organizations.lock(connection, taken.organization_id)
    await organizations.set_member(connection, actor, taken.organization_id, account_id, taken.role)
    return taken


async def decline(connection: Connection, actor: Actor, account_id: str, invitation_id: str) -> None:
    """The account does not want it. Raises NotFound."""
    taken = await _take(connection, account_id, invitation_id)
    await note(connection, actor, "invitation.decline", taken.invited, organization_id=taken.organization_id)


async def withdraw(connection: Connection, actor: Actor, organization_id: str, invitation_id: str) -> None:
    """The organization takes it back. Raises NotFound."""
    invited = await connection.fetchval(
        "delete from control.invitations where id = $1 and organization_id = $2 returning invited",
        invitation_id,
        organization_id,
    )
    if invited is None:
        raise _none(invitation_id)
    await note(connection, actor, "invitation.withdraw", invited, organization_id=organization_id)


async def _take(connection: Connection, account_id: str, invitation_id: str) -> Invitation:
    row = await connection.fetchrow(
        f"delete from control.invitations i using control.organizations o, control.accounts a where {_STANDS} "  # noqa: S608
        "and i.id = $2 and a.id = $3 and i.invited in (a.id, a.email) and o.id = i.organization_id "
        f"returning {_COLUMNS}",
        OPERATOR_NAME,
        invitation_id,
        account_id,
    )
    if row is None:
        raise _none(invitation_id)
    return _invitation(row)


async def _rows(connection: Connection, whose: str, value: str, part: Slice) -> list[Invitation]:
    rows = await connection.fetch(
        f"select {_COLUMNS} from control.invitations i join control.organizations o on o.id = i.organization_id "  # noqa: S608
        f"where {_STANDS} and {whose} and ($3::timestamptz is null or (i.created_at, i.id) > ($3, $4)) "
        "order by i.created_at, i.id limit $5",
        OPERATOR_NAME,
        value,
        part.at,
        part.id,
        part.rows,
    )
    return [_invitation(row) for row in rows]


def _invitation(row: asyncpg.Record) -> Invitation:
    return Invitation(**row)


def _none(invitation_id: str) -> NotFound:
    return NotFound(f"there is no open invitation {invitation_id!r}, or it is not yours")
