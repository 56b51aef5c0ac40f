"""Servers of MCP, written with its official SDK."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.local.ports import LOOPBACK, free_port
from tests.stacks import until


@dataclass
class ToolServer:
    """A running server, and what it was sent."""

    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request."""
    sessions_ended: int = 0


def tools_of_a_test(**more: Any) -> MCPServer:
    """The server itself; ``more`` is of `MCPServer`."""
    server = MCPServer("of a test", log_level="CRITICAL", **more)

    @server.tool()
    def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        return a + b

    @server.tool()
    async def count(to: int, ctx: Context) -> str:
        """Counts, and says how far it is."""
        for number in range(1, to + 1):
            await ctx.report_progress(number, to)
        return f"counted to {to}"

    @server.tool()
    def large(size: int) -> str:
        """So many characters."""
        return "x" * size

    @server.tool()
    async def hang() -> str:
        """Never answers."""
        await asyncio.sleep(3600)
        return ""

    @server.tool()
    def fail() -> str:
        """Fails."""
        raise ValueError("no such file")

    return server


@asynccontextmanager
async def tool_server(*, token: str | None = None, legacy: bool = False) -> AsyncIterator[ToolServer]:
    """Serves meanwhile.

    Args:
        token: of ``Authorization``, without which it refuses.
        legacy: it knows nothing of revisions without a handshake.
    """
    port = free_port()
    found = ToolServer(f"http://{LOOPBACK}:{port}/mcp")
    inner = tools_of_a_test().streamable_http_app()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            found.headers.append(headers)
            found.sessions_ended += scope["method"] == "DELETE"
            if token is not None and headers.get("authorization") != f"Bearer {token}":
                await _refuse(send, 401)
                return
            if legacy and headers.get("mcp-protocol-version", "").startswith("2026"):
                await _refuse(send, 400)
                return
        await inner(scope, receive, send)

    async with serving(app, port):
        yield found


@asynccontextmanager
async def serving(app: ASGIApp, port: int) -> AsyncIterator[None]:
    """Serves an application meanwhile."""
    server = uvicorn.Server(
        uvicorn.Config(app, host=LOOPBACK, port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve())

    async def started() -> bool | None:
        return server.started or None

    await until(started, what="a started server")
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
