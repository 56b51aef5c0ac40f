"""The console's page of MCP servers: registered, called and removed, with a credential that is shown nowhere."""

import secrets

import httpx

from tests.e2e.plane import Plane
from tests.e2e.test_console_pages import Desk
from tests.e2e.test_mcp import client_of, listed
from tests.mcp_servers import tool_server
from tests.stacks import Gateway, until


async def test_a_server_is_registered_called_and_removed(gateway: Gateway) -> None:
    plane, token = Plane(gateway, 1), secrets.token_hex(16)
    person, other = await plane.person(), await plane.person()
    async with (
        tool_server(token=token) as tools,
        httpx.AsyncClient(base_url=gateway.stack.console_url, trust_env=False, timeout=60) as http,
        httpx.AsyncClient(base_url=gateway.stack.console_url, trust_env=False, timeout=60) as foreign,
    ):
        desk, stranger = Desk(http), Desk(foreign)
        await desk.sign_in(person.key)
        await stranger.sign_in(other.key)
        fields = {"name": "paged", "url": tools.url, "header": "Authorization", "value": f"Bearer {token}"}
        for wrong in ({"url": ""}, {"name": "Wrong"}, {"value": ""}, {"header": "Host"}, {"url": "ftp://example.com"}):
            answer = await desk.send("me/mcp-servers", fields | wrong)
            assert (answer.status_code, token in answer.text) == (400, False), wrong
        sent = await desk.send("me/mcp-servers", fields)
        assert sent.headers["location"] == "/me/mcp-servers?said=server-sent"
        assert "paged__add" in await listed(plane, person.key)
        async with client_of(plane, person.key) as client:
            await client.call_tool("paged__add", {"a": 2, "b": 40})

        async def shown() -> str | None:
            text = (await http.get("/me/mcp-servers")).text
            return text if '<td class="mono clip" title="add">' in text else None

        page = await until(shown, what="the call on the page")
        assert tools.url in page
        assert token not in page
        assert "paged" not in (await foreign.get("/me/mcp-servers")).text
        assert (await stranger.send("me/mcp-servers/paged/remove", {})).status_code == 404
        trail = await plane.call("GET", "/api/audit")
        assert token not in str(trail)
        assert (await desk.send("me/mcp-servers/paged/remove", {})).status_code == 303

        async def gone() -> bool | None:
            return 'aria-label="Remove paged"' not in (await http.get("/me/mcp-servers")).text or None

        await until(gone, what="the list without it")
