"""Organizations, their members, tokens and audit trail."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from libs.identity.tokens import ORGANIZATION_TTL_S
from services.console.answers import Answer, Body, Id
from services.console.core.authorization import Action, Role
from services.console.errors import BadInput, NotFound
from services.console.paging import Page
from services.console.routes.accounts import Created
from services.console.session import Call
from services.console.store import accounts, audit, organizations
from services.console.store.organizations import Member, Organization

routes = APIRouter(prefix="/api/organizations", tags=["organizations"])


class OrganizationCreate(Body):
    """A new organization and its first owner; an account that creates one is its owner."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    owner: Id | None = None


class MemberSet(Body):
    """A member's role."""

    role: Role


class TokenTake(Body):
    """An organization token; the operator names the account."""

    account: Id | None = None


class Deleted(Answer):
    """It is gone."""

    id: str
    deleted: bool = True


class Membership(Answer):
    """A member and its role."""

    organization: str
    account: str
    role: Role


class MembershipEnded(Answer):
    """It is no member any more."""

    organization: str
    account: str
    removed: bool = True


class OrganizationToken(Answer):
    """A token of 15 minutes."""

    token: str
    expires_at: datetime
    role: Role


@routes.post("", status_code=201)
async def create_organization(body: OrganizationCreate, call: Call) -> Created:
    """Create an organization."""
    owner = body.owner or call.actor.account_id
    if owner is None:
        raise BadInput("name who owns it: `owner`, an account's ID")
    await call.check_account(owner)
    return Created(id=await organizations.create(call.connection, call.actor, body.name, owner))


@routes.get("", response_model_exclude_unset=True)
async def list_organizations(call: Call, page: Page) -> list[Organization]:
    """The caller's organizations, oldest first; for the operator all."""
    rows = await organizations.rows(call.connection, call.actor.account_id, page.slice)
    return page.of(rows)


@routes.delete("/{organization_id}")
async def delete_organization(organization_id: str, call: Call) -> Deleted:
    """End an organization; running requests run to their end."""
    await call.check_organization(organization_id, Action.DELETE)
    await organizations.delete(call.connection, call.actor, organization_id)
    return Deleted(id=organization_id)


@routes.get("/{organization_id}/members")
async def list_members(organization_id: str, call: Call, page: Page) -> list[Member]:
    """An organization's members, oldest first."""
    await call.check_organization(organization_id, Action.SEE)
    rows = await organizations.members(call.connection, organization_id, page.slice)
    return page.of(rows)


@routes.put("/{organization_id}/members/{account}")
async def set_member(organization_id: str, account: str, body: MemberSet, call: Call) -> Membership:
    """Change the role of a member, named by its ID or e-mail address. The operator makes an account a member by it;
    others invite."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    if call.actor.operator:
        account_id = await accounts.find(call.connection, account)
    else:
        account_id = await organizations.member_of(call.connection, organization_id, account)
    await organizations.set_member(call.connection, call.actor, organization_id, account_id, body.role)
    return Membership(organization=organization_id, account=account_id, role=body.role)


@routes.delete("/{organization_id}/members/{account}")
async def remove_member(organization_id: str, account: str, call: Call) -> MembershipEnded:
    """End a membership; every member may end its own."""
    own = call.actor.account_id == account
    await call.check_organization(organization_id, Action.LEAVE if own else Action.CHANGE_MEMBERS)
    account_id = await organizations.member_of(call.connection, organization_id, account)
    await organizations.remove_member(call.connection, call.actor, organization_id, account_id)
    return MembershipEnded(organization=organization_id, account=account_id)


@routes.post("/{organization_id}/token", status_code=201)
async def take_token(organization_id: str, call: Call, body: TokenTake | None = None) -> OrganizationToken:
    """Swap a member's key for an organization token of 15 minutes."""
    await call.check_organization(organization_id, Action.TAKE_TOKEN)
    account_id = (body.account if body else None) or call.actor.account_id
    if account_id is None:
        raise BadInput("name the account: `account`, its ID")
    if not call.actor.operator and account_id != call.actor.account_id:
        raise NotFound(f"there is no account {account_id!r}, or it is not yours")
    role = await organizations.role_of(call.connection, organization_id, account_id)
    if role is None:
        raise NotFound(f"the account {account_id!r} is not a member of this organization")
    epoch = await accounts.token_epoch(call.connection, account_id)
    expires_at = datetime.now(UTC) + timedelta(seconds=ORGANIZATION_TTL_S)
    token = await call.parts.signing.sign(
        call.connection,
        jti=secrets.token_hex(12),
        account_id=account_id,
        token_epoch=epoch,
        ttl_s=ORGANIZATION_TTL_S,
        organization_id=organization_id,
        role=role.value,
    )
    await audit.note(call.connection, call.actor, "token.take", account_id, organization_id=organization_id)
    return OrganizationToken(token=token, expires_at=expires_at, role=role)
