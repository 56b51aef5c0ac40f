"""Servers of MCP whose tools an account or an organization uses through the gateway."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, SecretStr

from contracts.mcp import SERVER, provider_of
from libs.mcp.oauth import AuthMethod, ClientCredentials
from libs.mcp.registration import MOST_HEADERS, Registration
from services.console.answers import Answer, Body
from services.console.core.authorization import Action
from services.console.core.owners import OwnerKind
from services.console.provider_keys import McpServer
from services.console.session import Call, Owned
from services.console.store import accounts, audit

routes = APIRouter(prefix="/api/{kind}/{owner_id}/mcp-servers", tags=["MCP servers"])
Name = Annotated[str, Path(pattern=SERVER)]


class McpClient(Body):
    """The gateway as a client of OAuth, as an authorization server knows it."""

    token_url: Annotated[str, Field(min_length=1, max_length=2_000)]
    """Of the authorization server's token endpoint. The secret is sent there, and nowhere else."""
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr
    scope: str = ""
    auth_method: AuthMethod = "client_secret_basic"


class McpRegistration(Body):
    """Where a server is, and what it is sent with each call; headers are never shown again."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    """Of its endpoint for streamable HTTP, at a public address."""
    headers: Annotated[dict[str, SecretStr], Field(max_length=MOST_HEADERS)] = {}
    """For example ``Authorization``."""
    oauth: McpClient | None = None
    """Client credentials, with which the gateway fetches tokens for the server."""


class ServerSubmitted(Answer):
    """The vault has the order to store it; the list shows when it has."""

    name: str


class ServerRemoved(Answer):
    """The vault has the order to forget it."""

    name: str
    removed: bool = True


@routes.get("")
async def list_mcp_servers(owner: Owned, call: Call) -> list[McpServer]:
    """An owner's servers, without their headers."""
    await call.check(owner, Action.MANAGE_KEYS)
    return call.parts.provider_keys.servers(owner.name)


@routes.put("/{name}", status_code=202)
async def put_mcp_server(owner: Owned, name: Name, body: McpRegistration, call: Call) -> ServerSubmitted:
    """Register a server, or register it anew; its address and all of its headers are replaced together."""
    await call.check(owner, Action.MANAGE_KEYS)
    if owner.kind is OwnerKind.ACCOUNTS:
        await accounts.token_epoch(call.connection, owner.id)
    headers = {header: value.get_secret_value() for header, value in body.headers.items()}
    registration = Registration(body.url, headers, _credentials(body.oauth) if body.oauth else None)
    keys, settings = call.parts.provider_keys, call.parts.config.mcp
    stored = await keys.register(owner.name, name, registration, settings, call.actor.name)
    organization_id = owner.organization_id
    await audit.note(
        call.connection, call.actor, "mcp_server.put", stored, organization_id=organization_id, url=registration.shown
    )
    return ServerSubmitted(name=name)


@routes.delete("/{name}", status_code=202)
async def remove_mcp_server(owner: Owned, name: Name, call: Call) -> ServerRemoved:
    """Forget a server."""
    await call.check(owner, Action.MANAGE_KEYS)
    await call.parts.provider_keys.remove(owner.name, provider_of(name), call.actor.name)
    target = f"{owner.name}/{provider_of(name)}"
    await audit.note(call.connection, call.actor, "mcp_server.remove", target, organization_id=owner.organization_id)
    return ServerRemoved(name=name)


def _credentials(given: McpClient) -> ClientCredentials:
    secret = given.client_secret.get_secret_value()
    return ClientCredentials(given.token_url, given.client_id, secret, given.scope, given.auth_method)
