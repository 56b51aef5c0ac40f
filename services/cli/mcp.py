"""``mcp``: servers of MCP whose tools go through the gateway."""

from typing import Annotated

import typer

from services.cli.api import Api, OwnerAccount, OwnerOrganization, owner_path, with_api
from services.cli.output import read_secret

mcp = typer.Typer(
    no_args_is_help=True, help="Servers of MCP (Model Context Protocol), whose tools go through the gateway."
)

NameArgument = Annotated[str, typer.Argument(help="The server's name: tools are called <name>__<tool>.")]


@mcp.command("add")
@with_api
def mcp_add(
    api: Api,
    name: NameArgument,
    address: Annotated[str, typer.Option(help="The URL of its endpoint for streamable HTTP.")],
    account_id: OwnerAccount = None,
    organization_id: OwnerOrganization = None,
    header: Annotated[
        str | None, typer.Option(help="The name of a header that it is sent, such as Authorization.")
    ] = None,
) -> None:
    """Register a server, or register it anew; the header's value is read from the terminal or stdin."""
    headers = {header: read_secret(f"Value of {header}")} if header else {}
    api.show(
        "PUT", f"{owner_path(account_id, organization_id)}/mcp-servers/{name}", {"url": address, "headers": headers}
    )


@mcp.command("list")
@with_api
def mcp_list(api: Api, account_id: OwnerAccount = None, organization_id: OwnerOrganization = None) -> None:
    """List servers, without their headers."""
    api.show("GET", f"{owner_path(account_id, organization_id)}/mcp-servers")


@mcp.command("remove")
@with_api
def mcp_remove(
    api: Api, name: NameArgument, account_id: OwnerAccount = None, organization_id: OwnerOrganization = None
) -> None:
    """Forget a server."""
    api.show("DELETE", f"{owner_path(account_id, organization_id)}/mcp-servers/{name}")
