"""Servers of MCP: an owner's, who may call which tool, and what was called. For who manages provider keys."""

import re
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from pydantic import SecretStr, ValidationError
from starlette.responses import Response

from contracts.mcp import SERVER
from services.console.core.authorization import Action
from services.console.core.policy_document import shown
from services.console.errors import BadInput, ConsoleError
from services.console.routes.mcp_servers import McpClient, McpRegistration, put_mcp_server, remove_mcp_server
from services.console.store import policies, tool_calls
from services.console.web.people import emails_in
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
CALLS_OF = timedelta(days=1)


@routes.get("/{space}/mcp-servers")
async def show_mcp_servers(visit: Visiting) -> Response:
    """The page."""
    return await _page(visit)


@routes.post("/{space}/mcp-servers")
async def register_mcp_server(visit: Visiting) -> Response:
    """Registers a server, or registers it anew, with at most one header, or client credentials."""
    await visit.check(Action.MANAGE_KEYS)
    form = visit.form
    header, value = form.get("header"), form.get("value")
    try:
        if not re.search(SERVER, form.get("name")):
            raise BadInput("a server's name has at most 32 small letters, digits and hyphens between them")
        if bool(header) != bool(value):
            raise BadInput("a header has a name and a value; leave both empty for a server that asks for none")
        oauth = {name: form.get(name) for name in ("token_url", "client_id", "client_secret")}
        if any(oauth.values()) and not all(oauth.values()):
            raise BadInput("OAuth wants a token address, a client ID and a secret")
        body = McpRegistration(
            url=form.get("url"),
            headers={header: SecretStr(value)} if header else {},
            oauth=McpClient.model_validate({**oauth, "scope": form.get("scope")}) if any(oauth.values()) else None,
        )
        await put_mcp_server(visit.owner, form.get("name"), body, visit.session)
    except ValidationError:
        return await _page(visit, "Give the address of the server's endpoint.")
    except ConsoleError as error:
        return await _page(visit, str(error))
    return visit.go("mcp-servers", "server-sent")


@routes.post("/{space}/mcp-servers/{name}/remove")
async def forget_mcp_server(visit: Visiting, name: str) -> Response:
    """Forgets a server, and what it was sent."""
    await remove_mcp_server(visit.owner, name, visit.session)
    return visit.go("mcp-servers", "server-removed")


async def _page(visit: Visit, problem: str = "") -> Response:
    await visit.check(Action.MANAGE_KEYS)
    call, owner = visit.session, visit.owner
    rules = None
    if owner.organization_id:
        rules = shown((await policies.current(call.connection, owner.organization_id)).document).mcp
    rows = call.parts.provider_keys.servers(owner.name)
    return visit.page(
        "mcp_servers.html",
        400 if problem else 200,
        rows=rows,
        names=await emails_in(call.connection, owner, (one.added_by for one in rows)),
        rules=rules or {},
        calls=await tool_calls.by_tool(call.connection, owner.name, datetime.now(UTC) - CALLS_OF),
        gateway_url=call.parts.gateway_url,
        problem=problem,
    )
