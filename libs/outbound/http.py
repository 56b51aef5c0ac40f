"""A transport for addresses that users choose: no proxies, redirects or cookies, and no address that is not allowed."""

import socket

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from libs.outbound.addresses import Reachable

MOST_CONNECTIONS = 256
MOST_OF_HOST = 64
READ_AHEAD_BYTES = 16 * 1024


class CheckedResolver(AbstractResolver):
    """Resolves names; what is connected to is what was looked at, so that a name cannot change in between."""

    def __init__(self, reachable: Reachable) -> None:
        self._reachable = reachable
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where the name has no address that is allowed."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if self._reachable.allows(one["host"])]
        if not allowed:
            raise OSError(None, "the name has no address that is allowed")
        return allowed

    async def close(self) -> None:
        """Ends."""
        await self._resolver.close()


class Outbound:
    """Sends to allowed addresses. It connects with the first request: whoever has none pays for none."""

    def __init__(self, reachable: Reachable) -> None:
        self.reachable = reachable
        self._transport: AiohttpTransport | None = None

    async def start(self) -> None:
        """Makes ready; connections come with requests."""

    async def stop(self) -> None:
        """Closes all connections."""
        if self._transport:
            await self._transport.aclose()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The beginning of an answer; close it. A literal address is not resolved: check the URL before, each time."""
        if self._transport is None:
            self._transport = _checked_transport(self.reachable)
        return await self._transport.handle_async_request(request)


def _checked_transport(reachable: Reachable) -> AiohttpTransport:
    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(reachable),
        limit=MOST_CONNECTIONS,
        limit_per_host=MOST_OF_HOST,
        use_dns_cache=False,
        ssl=httpx.create_ssl_context(),
    )
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=READ_AHEAD_BYTES
    )
    return AiohttpTransport(client=session)
