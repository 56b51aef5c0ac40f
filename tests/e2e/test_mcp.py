"""Tools of servers that users registered, with the official SDK on both sides."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from starlette.types import Receive, Scope, Send

from deploy.local.home import ROOT
from deploy.local.ports import free_port
from tests.e2e.plane import Person, Plane
from tests.mcp_servers import ToolServer, serving, tool_server
from tests.stacks import Gateway, until

TOKEN = "test-token-of-a-tool-server"


@pytest.fixture
def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tools() -> AsyncIterator[ToolServer]:
    async with tool_server(token=TOKEN) as running:
        yield running


@dataclass(frozen=True)
class Hanging:
    """A call that no server answers, and whose it is."""

    person: Person
    call: "asyncio.Task[None]"


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def hanging(gateway: Gateway, tools: ToolServer) -> Hanging:
    """It takes its time while other tests run."""
    plane = Plane(gateway, 1)
    person = await plane.person()
    await register(plane, person, "sums", tools.url)
    await listed(plane, person.key)
    return Hanging(person, asyncio.create_task(_hang(plane, person)))


async def _hang(plane: Plane, person: Person) -> None:
    async with client_of(plane, person.key) as client:
        with pytest.raises(MCPError, match="did not answer in time") as refused:
            await client.call_tool("sums__hang", {})
        assert refused.value.error.code == 504


async def _ended(plane: Plane, person: Person, outcome: str) -> bool | None:
    found = await plane.gateway.database.fetchval(
        "select count(*) from ledger.usage where account_id = $1 and outcome = $2", person.account_id, outcome
    )
    return found == 1 or None


@asynccontextmanager
async def client_of(
    plane: Plane, key: str, *, mode: str = "auto", organization: str | None = None
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    if organization:
        headers["X-KiloCode-OrganizationId"] = organization
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(f"{plane.gateway.base_url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


async def register(
    plane: Plane, person: Person, name: str, url: str, token: str | None = TOKEN, path: str = ""
) -> None:
    path = path or f"/api/accounts/{person.account_id}/mcp-servers"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    await plane.call("PUT", f"{path}/{name}", {"url": url, "headers": headers}, key=person.key)

    async def stored() -> bool | None:
        return any(row["name"] == name for row in await plane.call("GET", path, key=person.key)) or None

    await until(stored, what="the stored server")


async def listed(plane: Plane, key: str, wanted: int = 1, **more: Any) -> list[str]:
    """The names of all tools, once so many servers are known to all services."""

    async def found() -> list[str] | None:
        async with client_of(plane, key, **more) as client:
            try:
                names = [tool.name for tool in (await client.list_tools()).tools]
            except MCPError:
                return None
        return names if len({name.partition("__")[0] for name in names}) >= wanted else None

    return await until(found, what="a list of tools")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_tools_are_listed_and_called_and_are_in_the_books(plane: Plane, tools: ToolServer, mode: str) -> None:
    person = await plane.person()
    await register(plane, person, "sums", tools.url)
    assert "sums__add" in await listed(plane, person.key, mode=mode)
    told: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    async with client_of(plane, person.key, mode=mode) as client:
        result = await client.call_tool("sums__add", {"a": 2, "b": 40})
        assert result.structured_content == {"result": 42}
        # A server that tells how it goes on is heard meanwhile.
        result = await client.call_tool("sums__count", {"to": 3}, progress_callback=note)
        assert (result.structured_content, told) == ({"result": "counted to 3"}, [1.0, 2.0, 3.0])
        # What fails there is the tool's result, and what nobody has is said without asking anybody.
        assert (await client.call_tool("sums__fail", {})).is_error
        with pytest.raises(MCPError, match="tools/list names"):
            await client.call_tool("others__add", {"a": 1, "b": 1})
        with pytest.raises(MCPError, match="more than 65536 bytes"):
            await client.call_tool("sums__large", {"size": 100_000})
    assert tools.headers[-1]["authorization"] == f"Bearer {TOKEN}"

    async def booked() -> list[dict[str, Any]] | None:
        rows = await plane.gateway.database.fetch(
            "select * from ledger.usage where account_id = $1 and model = 'mcp/sums' order by request_id",
            person.account_id,
        )
        return [dict(row) for row in rows] if len(rows) == 4 else None

    entries = await until(booked, what="four entries")
    assert [(row["upstream_model"], row["outcome"]) for row in entries] == [
        ("add", "completed"),
        ("count", "completed"),
        ("fail", "completed"),
        ("large", "failed"),
    ]
    assert {(row["provider_id"], row["byok"], row["cost_microdollars"], row["surface"]) for row in entries} == {
        ("mcp/sums", True, 0, "mcp")
    }
    (row,) = await plane.call("GET", f"/api/accounts/{person.account_id}/mcp-servers", key=person.key)
    assert (row["url"], TOKEN in str(row)) == (tools.url, False)


async def test_the_example_runs_and_a_legacy_server_is_greeted_for_each_call(plane: Plane) -> None:
    person = await plane.person()
    async with tool_server(legacy=True) as old:
        await register(plane, person, "sums", old.url, None)
        await listed(plane, person.key)
        example = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "docs/examples/mcp_tools.py"),
            env=os.environ | {"SLUICE_BASE_URL": plane.gateway.base_url, "SLUICE_API_KEY": person.key},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await example.communicate()
        assert "sums__add: The sum of two numbers." in out.decode() and "{'result': 42}" in out.decode()
        # Nobody has another's session.
        assert old.sessions_ended >= 2
    await plane.call("DELETE", f"/api/accounts/{person.account_id}/mcp-servers/sums", key=person.key)


async def test_roles_have_their_tools_and_other_organizations_none(plane: Plane, tools: ToolServer) -> None:
    owner, member, stranger = await plane.person(), await plane.person(), await plane.person()
    made = await plane.call("POST", "/api/organizations", {"name": "Tools"}, key=owner.key)
    organization, path = made["id"], f"/api/organizations/{made['id']}"
    await plane.join(organization, owner, member)
    await register(plane, owner, "sums", tools.url, path=f"{path}/mcp-servers")
    rules = {"mcp": {"*": {"deny": ["*__fail"]}, "member": {"allow": ["sums__add"]}}}
    await plane.call("PUT", f"{path}/policy", rules, key=owner.key)
    # Only who may manage keys registers.
    body = {"url": tools.url}
    await plane.call("PUT", f"{path}/mcp-servers/more", body, key=member.key, status=403)
    await plane.call("PUT", f"{path}/mcp-servers/more", body, key=stranger.key, status=404)

    async def of_member() -> bool | None:
        return await listed(plane, member.key, organization=organization) == ["sums__add"] or None

    await until(of_member, what="the member's tools")
    assert set(await listed(plane, owner.key, organization=organization)) == {
        f"sums__{name}" for name in ("add", "count", "hang", "large")
    }
    calls = len(tools.headers)
    async with client_of(plane, member.key, organization=organization) as client:
        with pytest.raises(MCPError, match="does not allow this tool") as refused:
            await client.call_tool("sums__count", {"to": 1})
        assert (refused.value.error.code, refused.value.error.data["rule"]) == (403, "mcp.member")
        assert len(tools.headers) == calls
        assert (await client.call_tool("sums__add", {"a": 1, "b": 1})).structured_content == {"result": 2}
    # The server is the organization's: it is neither the owner's own, nor a stranger's.
    for person in (owner, stranger):
        async with client_of(plane, person.key) as client:
            with pytest.raises(MCPError, match="tools/list names"):
                await client.call_tool("sums__add", {"a": 1, "b": 1})


async def test_a_server_that_is_away_or_somewhere_else_is_left_out_of_the_list(plane: Plane, tools: ToolServer) -> None:
    person, asked, port = await plane.person(), list[str](), free_port()

    async def redirect(scope: Scope, _receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        asked.append(scope["path"])
        where = f"http://127.0.0.1:{port}/inside".encode()
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", where)]})
        await send({"type": "http.response.body", "body": b""})

    async with serving(redirect, port):
        await register(plane, person, "moved", f"http://127.0.0.1:{port}/mcp")
        await register(plane, person, "gone", f"http://127.0.0.1:{free_port()}/mcp")
        await register(plane, person, "sums", tools.url)
        await listed(plane, person.key)

        async def all_known() -> dict[str, str] | None:
            async with client_of(plane, person.key) as client:
                missing = ((await client.list_tools(cache_mode="bypass")).meta or {}).get("sluice/unavailable", {})
            return missing if len(missing) == 2 else None

        missing = await until(all_known, what="the missing servers")
        async with client_of(plane, person.key) as client:
            with pytest.raises(MCPError, match="nothing is redirected"):
                await client.call_tool("moved__add", {})
    assert "could not be reached" in missing["gone"] and "nothing is redirected" in missing["moved"]
    assert set(asked) == {"/mcp"}


async def test_a_call_that_its_client_leaves_is_ended(plane: Plane, tools: ToolServer) -> None:
    person = await plane.person()
    await register(plane, person, "sums", tools.url)
    await listed(plane, person.key)
    leaves, calls = asyncio.create_task(_hang(plane, person)), len(tools.headers)

    async def called() -> bool | None:
        return len(tools.headers) > calls or None

    await until(called, what="a call")
    leaves.cancel()
    await until(lambda: _ended(plane, person, "cancelled"), what="a cancelled call")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("one", {"url": "http://example.com/mcp"}),
        ("one", {"url": "https://10.0.0.1/mcp"}),
        ("one", {"url": "https://169.254.169.254/"}),
        ("one", {"url": "https://example.com/mcp", "headers": {"Host": "inside"}}),
        ("one", {"url": "https://example.com/mcp", "headers": {"A": "x\r\nB: y"}}),
        ("two_parts", {"url": "https://example.com/mcp"}),
    ],
)
async def test_what_cannot_be_registered(plane: Plane, name: str, body: dict[str, Any]) -> None:
    path = f"/api/accounts/{plane.gateway.account_id}/mcp-servers/{name}"
    await plane.call("PUT", path, body, status=400)


async def test_what_is_no_message_of_a_client_with_a_key_is_refused(plane: Plane) -> None:
    http, url = plane.gateway.http, f"{plane.gateway.base_url}/mcp"
    key = {"Authorization": f"Bearer {plane.gateway.key}", "Content-Type": "application/json"}
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    for content, headers, status, code in (
        (ping, {"Content-Type": "application/json"}, 401, 401),
        (ping, key | {"Authorization": "Bearer stolen"}, 401, 401),
        (ping, key | {"Origin": "https://example.com"}, 403, 403),
        (ping, key | {"Idempotency-Key": "one"}, 400, 400),
        (ping, key | {"Content-Type": "text/plain"}, 415, 415),
        (b"{", key, 400, None),
        (b"[" + ping + b"]", key, 400, -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}', key, 200, -32601),
        (ping, key | {"MCP-Protocol-Version": "1900-01-01"}, 400, -32022),
        (ping, key, 200, None),
    ):
        response = await http.post(url, content=content, headers=headers)
        error = response.json().get("error", {})
        assert response.status_code == status and (code is None or error["code"] == code), response.text
    assert (await http.get(url, headers=key)).status_code == 405
    told = await http.post(url, content=b'{"jsonrpc":"2.0","method":"notifications/initialized"}', headers=key)
    assert (told.status_code, told.content) == (202, b"")
    # Nothing is registered here.
    content = b'{"jsonrpc":"2.0","id":"a","method":"tools/list"}'
    answer = (await http.post(url, content=content, headers=key)).json()
    assert (answer["id"], answer["error"]["code"]) == ("a", 404)
    assert "No MCP server is registered here" in answer["error"]["message"]


async def test_a_call_that_hangs_has_ended(plane: Plane, hanging: Hanging) -> None:
    await hanging.call
    await until(lambda: _ended(plane, hanging.person, "failed"), what="a failed call")
