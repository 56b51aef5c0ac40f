"""An organization: its members, invitations, and audit trail."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from services.console.core.authorization import Action, Role
from services.console.core.cursors import Slice
from services.console.errors import BadInput, Conflict, ConsoleError, NotFound
from services.console.paging import page_of, slice_of
from services.console.routes.invitations import Invite
from services.console.store import accounts, audit, invitations, organizations
from services.console.web.people import account_in, emails_in
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
ROWS = 50


@routes.get("/{space}/new-organization")
async def show_new_organization(visit: Visiting) -> Response:
    """The page."""
    return visit.page("new_organization.html")


@routes.post("/{space}/organizations")
async def create_organization(visit: Visiting) -> Response:
    """Makes an organization of who is signed in."""
    call, name = visit.session, visit.form.get("name")
    owner = call.actor.account_id
    if owner is None:
        owner = await accounts.find(call.connection, visit.form.get("owner"))
    if not 1 <= len(name) <= 100:
        raise BadInput("an organization's name has 1 to 100 characters")
    made = await organizations.create(call.connection, call.actor, name, owner)
    return RedirectResponse(f"/{made}/members", 303)


@routes.get("/{space}/members")
async def list_members(visit: Visiting, cursor: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The page."""
    return await _members(visit, cursor=cursor)


@routes.post("/{space}/members")
async def set_member(visit: Visiting) -> Response:
    """Changes a role; the operator makes an account a member."""
    await visit.check(Action.CHANGE_MEMBERS)
    call, account = visit.session, visit.form.get("account")
    try:
        role = Role(visit.form.get("role"))
        if call.actor.operator:
            account_id = await accounts.find(call.connection, account)
        else:
            account_id = await organizations.member_of(call.connection, visit.owner.id, account)
        await organizations.set_member(call.connection, call.actor, visit.owner.id, account_id, role)
    except ValueError:
        return await _members(visit, "Choose a role.")
    except ConsoleError as error:
        return await _members(visit, str(error))
    return visit.go("members", "member-set")


@routes.post("/{space}/invitations")
async def invite(visit: Visiting) -> Response:
    """Invites an account."""
    await visit.check(Action.CHANGE_MEMBERS)
    call = visit.session
    try:
        asked = Invite.model_validate({"account": visit.form.get("account"), "role": visit.form.get("role")})
        await invitations.invite(call.connection, call.actor, visit.owner.id, asked.account, asked.role)
    except ValidationError:
        return await _members(visit, "Give an e-mail address or an account's ID, and choose a role.")
    except ConsoleError as error:
        return await _members(visit, str(error))
    return visit.go("members", "invited")


@routes.post("/{space}/invitations/{invitation_id}/withdraw")
async def withdraw_invitation(visit: Visiting, invitation_id: str) -> Response:
    """Takes an invitation back."""
    await visit.check(Action.CHANGE_MEMBERS)
    call = visit.session
    await invitations.withdraw(call.connection, call.actor, visit.owner.id, invitation_id)
    return visit.go("members", "invitation-withdrawn")


@routes.post("/{space}/invitations/{invitation_id}/accept")
async def accept_invitation(visit: Visiting, invitation_id: str) -> Response:
    """Makes who is signed in a member, and shows the organization."""
    call = visit.session
    taken = await invitations.accept(call.connection, call.actor, _account(visit), invitation_id)
    return RedirectResponse(f"/{taken.organization_id}/home", 303)


@routes.post("/{space}/invitations/{invitation_id}/decline")
async def decline_invitation(visit: Visiting, invitation_id: str) -> Response:
    """Declines an invitation."""
    call = visit.session
    await invitations.decline(call.connection, call.actor, _account(visit), invitation_id)
    return visit.go("home", "invitation-declined")


@routes.post("/{space}/members/{account_id}/remove")
async def remove_member(visit: Visiting, account_id: str) -> Response:
    """Ends a membership."""
    call, own = visit.session, visit.session.actor.account_id == account_id
    await visit.check(Action.LEAVE if own else Action.CHANGE_MEMBERS)
    try:
        await organizations.remove_member(call.connection, call.actor, visit.owner.id, account_id)
    except Conflict as error:
        return await _members(visit, str(error))
    return RedirectResponse("/me/home", 303) if own else visit.go("members", "member-removed")


def _account(visit: Visit) -> str:
    account_id = visit.session.actor.account_id
    if account_id is None:
        raise NotFound("invitations are for accounts, and the operator is none")
    return account_id


async def _members(visit: Visit, problem: str = "", cursor: str = "") -> Response:
    await visit.check(Action.SEE)
    found = await organizations.members(visit.session.connection, visit.owner.id, slice_of(ROWS, cursor))
    rows, more = page_of(found, ROWS)
    may_change = visit.owns
    open_ones = (
        await invitations.of_organization(visit.session.connection, visit.owner.id, Slice(invitations.MOST_OPEN))
        if may_change
        else []
    )
    return visit.page(
        "members.html",
        400 if problem else 200,
        rows=rows,
        more=more,
        roles=list(Role),
        may_change=may_change,
        invitations=open_ones,
        problem=problem,
    )


@routes.get("/{space}/audit")
async def show_audit(
    visit: Visiting,
    actor: Annotated[str, Query(max_length=64)] = "",
    action: Annotated[str, Query(max_length=64)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The page: who changed what."""
    organization_id = None
    if visit.space.owner is None:
        visit.session.check_operator()
    else:
        await visit.check(Action.READ_AUDIT)
        organization_id = visit.owner.organization_id
        if organization_id is None:
            raise BadInput("the audit trail is an organization's")
    connection, owner, part = visit.session.connection, visit.space.owner, slice_of(ROWS, cursor)
    who = await account_in(connection, owner, actor)
    found = await audit.entries(connection, organization_id, part, actor=who or None, action=action or None)
    rows, more = page_of(found, ROWS)
    named = (str(one) for row in rows for one in (row.actor, row.target, *row.details.values()))
    names = await emails_in(connection, owner, (one for one in named if one.startswith("acct_")))
    return visit.page("audit.html", rows=rows, names=names, actor=actor, action=action, more=more)
