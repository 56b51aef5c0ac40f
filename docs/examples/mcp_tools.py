"""The tools of all registered servers, through the one endpoint of the gateway. Needs the package ``mcp``."""

import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL = f"{os.environ['SLUICE_BASE_URL']}/mcp"
HEADERS = {"Authorization": f"Bearer {os.environ['SLUICE_API_KEY']}"}


async def main() -> None:
    """Lists all tools, and calls one of the server that was registered as ``sums``."""
    async with (
        httpx2.AsyncClient(headers=HEADERS) as http,
        Client(streamable_http_client(URL, http_client=http)) as mcp,
    ):
        for tool in (await mcp.list_tools()).tools:
            print(f"{tool.name}: {tool.description}")
        result = await mcp.call_tool("sums__add", {"a": 2, "b": 40})
        print(result.structured_content)


asyncio.run(main())
