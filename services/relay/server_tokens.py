"""Access tokens for servers of MCP, fetched by what their owners registered, and kept in memory until they end."""

import asyncio
from hashlib import blake2b

import aiohttp
import httpx

from libs.mcp.oauth import REFUSED, ClientCredentials, TokenError, ask, token_in
from libs.outbound.addresses import AddressError
from libs.outbound.http import Outbound
from libs.runtime.tokens import Tokens
from libs.sealing.secret import Secret
from services.relay.core.servers import no_token, not_allowed, token_refused
from services.relay.upstream import UpstreamError

WITHIN_S = 10.0
EARLIER_S = 30.0
"""A token is fetched anew so long before its end: calls take time."""
MOST_KNOWN = 10_000
MOST_BYTES = 64 * 1024


class ServerTokens:
    """Gives tokens: one fetch a registration, however many calls ask at once."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._tokens: Tokens[Secret] = Tokens(earlier_s=EARLIER_S, most=MOST_KNOWN)

    async def of(self, name: str, url: str, credentials: ClientCredentials, *, refused: str | None = None) -> str:
        """A token for a server.

        Args:
            name: of the server, for messages.
            refused: a token that the server does not take, although it has not ended.

        Raises:
            UpstreamError: there is none.
        """
        found = await self._tokens.of(
            _digest(url, credentials),
            lambda: self._fetch(name, url, credentials),
            is_good=lambda token: token.reveal() != refused,
        )
        return found.reveal()

    async def _fetch(self, name: str, url: str, credentials: ClientCredentials) -> tuple[Secret, float]:
        try:
            async with asyncio.timeout(WITHIN_S):
                status, body = await self._ask(url, credentials)
        except AddressError as error:
            raise UpstreamError(not_allowed(name, str(error))) from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError, TimeoutError):
            raise UpstreamError(no_token(name, "cannot be reached")) from None
        if status in REFUSED:
            raise UpstreamError(token_refused(name))
        try:
            token, lasts_s = token_in(body if status == 200 else b"")
        except TokenError:
            raise UpstreamError(no_token(name, f"gave no token (HTTP {status})")) from None
        return Secret(token), lasts_s

    async def _ask(self, url: str, credentials: ClientCredentials) -> tuple[int, bytes]:
        self._outbound.reachable.checked(credentials.token_url)
        asked, body = ask(credentials, url), bytearray()
        request = httpx.Request("POST", credentials.token_url, content=asked.content, headers=asked.headers)
        response = await self._outbound.send(request)
        try:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    return response.status_code, b""
        finally:
            await response.aclose()
        return response.status_code, bytes(body)


def _digest(url: str, credentials: ClientCredentials) -> bytes:
    """The whole of both: whoever registers a server anew has no token of what was there before."""
    parts = (url, *credentials.document().values())
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()
