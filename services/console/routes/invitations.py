"""Invitations into organizations: made by their owners, accepted or declined by who is invited."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from services.console.answers import ID_OR_EMAIL, Body
from services.console.core.authorization import Action, Role
from services.console.errors import BadInput
from services.console.paging import Page
from services.console.routes.organizations import Deleted, Membership
from services.console.session import Call, Session
from services.console.store import invitations
from services.console.store.invitations import Invitation

routes = APIRouter(prefix="/api", tags=["organizations"])


class Invite(Body):
    """Whom, and as what."""

    account: Annotated[str, Field(pattern=ID_OR_EMAIL)]
    """An account's ID or e-mail address."""
    role: Role = Role.MEMBER


@routes.post("/organizations/{organization_id}/invitations", status_code=201)
async def invite(organization_id: str, body: Invite, call: Call) -> Invitation:
    """Invite an account for seven days; the answer is the same whether there is one or not."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    return await invitations.invite(call.connection, call.actor, organization_id, body.account, body.role)


@routes.get("/organizations/{organization_id}/invitations")
async def list_invitations(organization_id: str, call: Call, page: Page) -> list[Invitation]:
    """An organization's open invitations, oldest first."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    return page.of(await invitations.of_organization(call.connection, organization_id, page.slice))


@routes.delete("/organizations/{organization_id}/invitations/{invitation_id}")
async def withdraw_invitation(organization_id: str, invitation_id: str, call: Call) -> Deleted:
    """Take an invitation back."""
    await call.check_organization(organization_id, Action.CHANGE_MEMBERS)
    await invitations.withdraw(call.connection, call.actor, organization_id, invitation_id)
    return Deleted(id=invitation_id)


@routes.get("/invitations")
async def list_own_invitations(call: Call, page: Page) -> list[Invitation]:
    """The open invitations of the caller, oldest first."""
    return page.of(await invitations.of_account(call.connection, await _account(call), page.slice))


@routes.post("/invitations/{invitation_id}/accept")
async def accept_invitation(invitation_id: str, call: Call) -> Membership:
    """Become a member."""
    account_id = await _account(call)
    taken = await invitations.accept(call.connection, call.actor, account_id, invitation_id)
    return Membership(organization=taken.organization_id, account=account_id, role=taken.role)


@routes.delete("/invitations/{invitation_id}")
async def decline_invitation(invitation_id: str, call: Call) -> Deleted:
    """Decline an invitation."""
    await invitations.decline(call.connection, call.actor, await _account(call), invitation_id)
    return Deleted(id=invitation_id)


async def _account(call: Session) -> str:
    account_id = call.actor.account_id
    if account_id is None:
        raise BadInput("invitations are for accounts; use an account's key, not the operator token")
    await call.check_account(account_id)
    return account_id
