"""Requests of sinks: to public addresses only, without redirects, proxies or cookies, and with bounds on everything."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from services.sinks.core.addresses import is_public
from services.sinks.core.webhooks import Verdict, verdict_of
from services.sinks.sink import RefusedError, UnavailableError

ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a request that was taken."""

    status: int
    body: bytes
    """Its first 64 KiB."""


class _PublicOnly(AbstractResolver):
    """Resolves names; what is connected to is what was looked at, so that a name cannot change in between."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise OSError(None, "the name has no public address")
        return public

    async def close(self) -> None:
        await self._resolver.close()


class Http:
    """Posts to one receiver."""

    def __init__(self, url: str, timeout_s: float, *, private: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._private = private
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Makes a client."""
        resolver = None if self._private else _PublicOnly()
        connector = aiohttp.TCPConnector(resolver=resolver, limit=64, ssl=httpx.create_ssl_context())
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._client = httpx.AsyncClient(transport=AiohttpTransport(client=session), trust_env=False)
        # What is packed unpacks to whatever its sender likes.
        self._client.headers["accept-encoding"] = "identity"

    async def stop(self) -> None:
        """Closes it."""
        if self._client:
            await self._client.aclose()

    async def post(self, body: bytes, headers: Mapping[str, str], *, path: str = "") -> Answer:
        """Sends once.

        Raises:
            UnavailableError: no answer in time, or one that may be otherwise later.
            RefusedError: the receiver will not have this body.
        """
        assert self._client is not None
        host = urlsplit(self._url).hostname or ""
        # A literal address is not resolved.
        if not self._private and _is_literal(host) and not is_public(host):
            raise UnavailableError("its address is not a public one")
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream(
                    "POST", self._url.rstrip("/") + path if path else self._url, content=body, headers=headers
                ) as answer,
            ):
                text = b""
                async for piece in answer.aiter_raw():
                    text += piece
                    if len(text) >= ANSWER_BYTES:
                        break
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise UnavailableError(f"no answer: {type(error).__name__}") from None
        match verdict_of(answer.status_code):
            case Verdict.REFUSED:
                raise RefusedError(f"HTTP {answer.status_code}")
            case Verdict.LATER:
                raise UnavailableError(f"HTTP {answer.status_code}", after_s=_asked_s(answer))
        return Answer(answer.status_code, text[:ANSWER_BYTES])


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _asked_s(answer: httpx.Response) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None
