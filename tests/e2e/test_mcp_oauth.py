"""Servers of MCP that want tokens: the gateway fetches them by what is sealed, and the official SDK checks them."""

import secrets
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.plane import Person, Plane
from tests.e2e.test_mcp import client_of, listed
from tests.oauth_servers import CLIENT, SCOPE, Authorization, protected_server
from tests.stacks import Gateway, until


class _InMemory:
    """A storage of the SDK's client."""

    def __init__(self) -> None:
        self.tokens: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> None:
        return None

    async def set_client_info(self, client_info: Any) -> None:
        pass


async def _register(plane: Plane, person: Person, url: str, authorization: Authorization, **more: Any) -> None:
    oauth = {
        "token_url": authorization.token_url,
        "client_id": CLIENT,
        "client_secret": authorization.secret,
        "scope": SCOPE,
        **more,
    }
    path = f"/api/accounts/{person.account_id}/mcp-servers"
    before = {row["name"]: row["updated_at_ms"] for row in await plane.call("GET", path, key=person.key)}
    await plane.call("PUT", f"{path}/sums", {"url": url, "oauth": oauth}, key=person.key)

    async def stored() -> bool | None:
        rows = {row["name"]: row["updated_at_ms"] for row in await plane.call("GET", path, key=person.key)}
        return rows.get("sums", 0) > before.get("sums", 0) or None

    await until(stored, what="the stored server")


async def test_the_official_client_takes_this_authorization_server() -> None:
    """So what the gateway is tested with is OAuth as MCP has it."""
    async with protected_server() as (url, authorization):
        proof = ClientCredentialsOAuthProvider(
            url, _InMemory(), CLIENT, authorization.secret, scope=SCOPE, issuer=authorization.issuer
        )
        async with httpx2.AsyncClient(auth=proof) as http, Client(streamable_http_client(url, http_client=http)) as mcp:
            assert (await mcp.call_tool("add", {"a": 2, "b": 40})).structured_content == {"result": 42}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_tokens_are_fetched_kept_and_fetched_anew(gateway: Gateway, method: str) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    async with protected_server() as (url, authorization):
        await _register(plane, person, url, authorization, auth_method=method)
        assert "sums__add" in await listed(plane, person.key)
        async with client_of(plane, person.key) as client:
            for _ in range(3):
                found = await client.call_tool("sums__add", {"a": 2, "b": 40})
                assert found.structured_content == {"result": 42}
            # One for each relay, however many calls.
            asked = authorization.asked
            assert asked <= 2
            authorization.given.clear()
            assert (await client.call_tool("sums__add", {"a": 2, "b": 40})).structured_content == {"result": 42}
            assert authorization.asked == asked + 1
        shown = await plane.call("GET", f"/api/accounts/{person.account_id}/mcp-servers", key=person.key)
        assert authorization.secret not in str(shown) + str(await plane.call("GET", "/api/audit"))


async def test_what_its_authorization_server_refuses_is_said(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    async with protected_server() as (url, authorization):
        await _register(plane, person, url, authorization)
        assert "sums__add" in await listed(plane, person.key)
        for wrong, status, said in (
            ({"client_secret": secrets.token_hex(8)}, 502, "authorization server refuses"),
            ({"token_url": f"{authorization.issuer}/elsewhere"}, 503, "gave no token (HTTP 404)"),
            ({"scope": "other"}, 502, "refused what it was registered with"),
        ):
            await _register(plane, person, url, authorization, **wrong)

            async def refused(said: str = said, status: int = status) -> bool | None:
                async with client_of(plane, person.key) as client:
                    try:
                        await client.call_tool("sums__add", {"a": 1, "b": 1})
                    except MCPError as error:
                        return (said in str(error) and error.error.code == status) or None
                return None

            await until(refused, what=said)


@pytest.mark.parametrize(
    "oauth",
    [
        {"token_url": "http://example.com/token", "client_id": "a", "client_secret": "b"},
        {"token_url": "https://10.0.0.1/token", "client_id": "a", "client_secret": "b"},
        {"token_url": "https://example.com/token", "client_id": "a", "client_secret": "b\r\nc"},
        {"token_url": "https://example.com/token", "client_id": "", "client_secret": "b"},
    ],
)
async def test_what_cannot_be_registered(gateway: Gateway, oauth: dict[str, str]) -> None:
    plane = Plane(gateway, 1)
    path = f"/api/accounts/{gateway.account_id}/mcp-servers/one"
    await plane.call("PUT", path, {"url": "https://example.com/mcp", "oauth": oauth}, status=400)
