"""``org``, ``org member`` and ``org team``."""

from typing import Annotated

import typer

from services.cli.api import Api, OrganizationArgument, with_api

organization = typer.Typer(no_args_is_help=True, help="Organizations.")
member = typer.Typer(no_args_is_help=True, help="Members of an organization.")
organization.add_typer(member, name="member")
team = typer.Typer(no_args_is_help=True, help="Teams: members that are limited together.")
organization.add_typer(team, name="team")

MemberArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's ID or e-mail address.")]
TeamArgument = Annotated[str, typer.Argument(metavar="TEAM", help="Lower-case letters, digits, `.`, `_` and `-`.")]
InvitationArgument = Annotated[str, typer.Argument(metavar="INVITATION", help="Its ID.")]
RoleOption = Annotated[str, typer.Option(help="owner, billing_manager or member.")]


@organization.command("create")
@with_api
def organization_create(
    api: Api,
    name: Annotated[str, typer.Option(help="Its name.")],
    owner: Annotated[str | None, typer.Option(help="The account that owns it; without it, you.")] = None,
) -> None:
    """Create an organization."""
    body = {"name": name} | ({"owner": owner} if owner else {})
    api.show("POST", "/api/organizations", body)


@organization.command("list")
@with_api
def organization_list(api: Api) -> None:
    """List organizations: for the operator all, else your own."""
    api.show_all("/api/organizations")


@organization.command("delete")
@with_api
def organization_delete(api: Api, organization_id: OrganizationArgument) -> None:
    """End an organization."""
    api.show("DELETE", f"/api/organizations/{organization_id}")


@organization.command("token")
@with_api
def organization_token(
    api: Api,
    organization_id: OrganizationArgument,
    account_id: Annotated[str | None, typer.Option("--account", help="For whom; without it, you.")] = None,
) -> None:
    """Take an organization token of 15 minutes."""
    body = {"account": account_id} if account_id else {}
    api.show("POST", f"/api/organizations/{organization_id}/token", body)


@organization.command("audit")
@with_api
def organization_audit(
    api: Api,
    organization_id: OrganizationArgument,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 100,
) -> None:
    """Show who changed what in an organization."""
    api.show("GET", f"/api/organizations/{organization_id}/audit?limit={limit}")


@member.command("list")
@with_api
def member_list(api: Api, organization_id: OrganizationArgument) -> None:
    """List an organization's members."""
    api.show_all(f"/api/organizations/{organization_id}/members")


@organization.command("invite")
@with_api
def invite(
    api: Api, organization_id: OrganizationArgument, account: MemberArgument, role: RoleOption = "member"
) -> None:
    """Invite an account; it accepts or declines."""
    api.show("POST", f"/api/organizations/{organization_id}/invitations", {"account": account, "role": role})


@organization.command("invitations")
@with_api
def invitations(
    api: Api,
    organization_id: Annotated[str | None, typer.Argument(help="Of this organization; without it, yours.")] = None,
) -> None:
    """List open invitations."""
    api.show_all(f"/api/organizations/{organization_id}/invitations" if organization_id else "/api/invitations")


@organization.command("accept")
@with_api
def accept_invitation(api: Api, invitation_id: InvitationArgument) -> None:
    """Accept an invitation."""
    api.show("POST", f"/api/invitations/{invitation_id}/accept")


@organization.command("decline")
@with_api
def decline_invitation(api: Api, invitation_id: InvitationArgument) -> None:
    """Decline an invitation."""
    api.show("DELETE", f"/api/invitations/{invitation_id}")


@organization.command("withdraw")
@with_api
def withdraw_invitation(api: Api, organization_id: OrganizationArgument, invitation_id: InvitationArgument) -> None:
    """Take an invitation back."""
    api.show("DELETE", f"/api/organizations/{organization_id}/invitations/{invitation_id}")


@member.command("add")
@member.command("set")
@with_api
def member_set(
    api: Api,
    organization_id: OrganizationArgument,
    account_id: MemberArgument,
    role: RoleOption = "member",
) -> None:
    """Change a member's role; the operator makes an account a member by it."""
    path = f"/api/organizations/{organization_id}/members/{account_id}"
    api.show("PUT", path, {"role": role})


@member.command("remove")
@with_api
def member_remove(
    api: Api,
    organization_id: OrganizationArgument,
    account_id: MemberArgument,
) -> None:
    """End a membership."""
    api.show("DELETE", f"/api/organizations/{organization_id}/members/{account_id}")


@team.command("list")
@with_api
def team_list(api: Api, organization_id: OrganizationArgument) -> None:
    """List an organization's teams and their members."""
    api.show("GET", f"/api/organizations/{organization_id}/teams")


@team.command("create")
@with_api
def team_create(api: Api, organization_id: OrganizationArgument, name: TeamArgument) -> None:
    """Make a team; `limits set --org ORG team:NAME` limits it."""
    api.show("PUT", f"/api/organizations/{organization_id}/teams/{name}")


@team.command("delete")
@with_api
def team_delete(api: Api, organization_id: OrganizationArgument, name: TeamArgument) -> None:
    """End a team that has no limits."""
    api.show("DELETE", f"/api/organizations/{organization_id}/teams/{name}")


@team.command("add")
@with_api
def team_add(api: Api, organization_id: OrganizationArgument, name: TeamArgument, account_id: MemberArgument) -> None:
    """Put a member into a team; one may be in several."""
    api.show("PUT", f"/api/organizations/{organization_id}/teams/{name}/members/{account_id}")


@team.command("remove")
@with_api
def team_remove(
    api: Api, organization_id: OrganizationArgument, name: TeamArgument, account_id: MemberArgument
) -> None:
    """Take a member out of a team."""
    api.show("DELETE", f"/api/organizations/{organization_id}/teams/{name}/members/{account_id}")
