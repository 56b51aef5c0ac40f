"""``mcp``: servers of MCP whose tools go through the gateway."""

from typing import Annotated, Any

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
    client_id: Annotated[
        str | None, typer.Option(help="Of OAuth's client credentials, which the server's tokens are fetched with.")
    ] = None,
    token_url: Annotated[str | None, typer.Option(help="Where they are fetched.")] = None,
    scope: Annotated[str, typer.Option(help="What they are good for.")] = "",
    secret_in_form: Annotated[bool, typer.Option(help="Send the secret as client_secret_post.")] = False,
) -> None:
    """Register a server, or register it anew; the header's value, or the secret, is read from the terminal or stdin."""
    body: dict[str, Any] = {"url": address}
    if (client_id is None) != (token_url is None) or (client_id and header):
        raise typer.BadParameter("give --client-id with --token-url, or --header")
    if header:
        body["headers"] = {header: read_secret(f"Value of {header}")}
    if client_id:
        body["oauth"] = {
            "token_url": token_url,
            "client_id": client_id,
            "client_secret": read_secret("Client secret"),
            "scope": scope,
            "auth_method": "client_secret_post" if secret_in_form else "client_secret_basic",
        }
    api.show("PUT", f"{owner_path(account_id, organization_id)}/mcp-servers/{name}", body)


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
