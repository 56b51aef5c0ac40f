"""Requests of sinks: to public addresses only, without redirects, proxies or cookies, and with bounds on everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import httpx
from yarl import URL

from libs.outbound.addresses import Reachable, is_literal, is_public
from libs.outbound.http import CheckedResolver
from services.sinks.core.webhooks import Verdict, verdict_of
from services.sinks.sink import RefusedError, UnavailableError

ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a request that was taken."""

    status: int
    body: bytes
    """Its beginning."""


class Http:
    """Asks one receiver."""

    def __init__(self, url: str, timeout_s: float, *, private: bool) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._private = private
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Makes a client."""
        resolver = None if self._private else CheckedResolver(Reachable())
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=64, ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            # What is packed unpacks to whatever its sender likes.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
        )

    async def stop(self) -> None:
        """Closes it."""
        if self._session:
            await self._session.close()

    async def post(self, body: bytes, headers: Mapping[str, str], *, path: str = "") -> Answer:
        """Posts once. See `send`."""
        return await self.send("POST", body, headers, path=path)

    async def send(
        self, method: str, body: bytes, headers: Mapping[str, str], *, path: str = "", most_bytes: int = ANSWER_BYTES
    ) -> Answer:
        """Sends once.

        Args:
            path: below the receiver's address.
            most_bytes: of the answer; what is beyond is left.

        Raises:
            UnavailableError: no answer in time, or one that may be otherwise later.
            RefusedError: the receiver will not have this body.
        """
        assert self._session is not None
        host = urlsplit(self._url).hostname or ""
        # A literal address is not resolved.
        if not self._private and is_literal(host) and not is_public(host):
            raise UnavailableError("its address is not a public one")
        # As it is: a signature covers each of its characters.
        url = URL(self._url.rstrip("/") + path if path else self._url, encoded=True)
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                text = b""
                async for piece in answer.content.iter_any():
                    text += piece
                    if len(text) >= most_bytes:
                        break
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnavailableError(f"no answer: {type(error).__name__}") from None
        match verdict_of(answer.status):
            case Verdict.REFUSED:
                raise RefusedError(f"HTTP {answer.status}")
            case Verdict.LATER:
                raise UnavailableError(f"HTTP {answer.status}", after_s=_asked_s(answer))
        return Answer(answer.status, text[:most_bytes])


def _asked_s(answer: aiohttp.ClientResponse) -> float | None:
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None
