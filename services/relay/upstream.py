"""The calls of providers: HTTP/1.1 with keep-alive, one pool a provider, errors in our own words."""

import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import httpx
import structlog

from contracts.record import Refusal
from libs.chat.providers.answers import Exchange
from libs.chat.providers.errors import broke_off, provider_refusal, timed_out, unreachable
from libs.chat.providers.protocol import Framing, ProtocolError
from libs.chat.providers.retry_after import retry_after_s
from libs.config.gateway import Timeouts
from libs.config.pins import Pins
from libs.config.providers import Provider
from libs.provider_keys.access_tokens import AccessTokens, NoTokenError, TokenRefusedError
from libs.provider_keys.documents import KeyFormError
from libs.runtime.unpacking import Unpacking, UnpackingError
from libs.sealing.secret import Secret

log = structlog.get_logger()

MOST_CONNECTIONS = 2_000
KEEP_ALIVE_S = 15.0
READ_AHEAD_BYTES = 8 * 1024
"""Of an answer that is not worked on yet; twice as much, and the socket is not read."""
RECEIVE_BYTES = 96 * 1024
"""What a socket holds, and so the most that one read can bring."""
_HEADERS = {"User-Agent": "sluice", "Content-Type": "application/json", "Accept-Encoding": "gzip, deflate"}
ERROR_BYTES = 64 * 1024
ANSWER_BYTES = 24 * 1024 * 1024


class UpstreamError(Exception):
    """The provider gave no answer that the client could use."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Response:
    """A provider's answer, whose body may still be on its way."""

    status: int
    headers: Mapping[str, str]
    """By name in small letters, or in any."""
    body: AsyncIterable[bytes]
    """As it comes, in its content coding."""


class Upstreams:
    """The connections to all providers, a pool for each. `stop` closes them. ADR 4 says why it is aiohttp."""

    def __init__(self, timeouts: Timeouts, pins: Pins) -> None:
        """
        Args:
            pins: where calls may go.
        """
        self._pins = pins
        self._tokens = AccessTokens()
        self._timeout = aiohttp.ClientTimeout(sock_connect=timeouts.connect_s)
        self._pools: dict[str, aiohttp.ClientSession] = {}

    async def start(self) -> None:
        """Makes ready; each provider's pool comes with its first call."""
        self._context = httpx.create_ssl_context()
        self._tokens = AccessTokens(self._context)

    async def stop(self) -> None:
        """Closes all connections."""
        for pool in self._pools.values():
            await pool.close()

    @asynccontextmanager
    async def call(
        self, provider_id: str, provider: Provider, key: Secret, call: Exchange, *, byok: bool
    ) -> AsyncIterator[Response]:
        """Posts a request and gives the response, whose body may still be on its way.

        Args:
            provider: as the request's version of the catalog has it.

        Raises:
            UpstreamError: no connection, a broken one, or a status of 400 or above.
        """
        if not self._pins.allow(provider):
            log.error("provider's address refused", provider_id=provider_id, address=provider.base_url)
            raise UpstreamError(Refusal(status=503, message=self._pins.refused(provider_id)))
        pool = self._pool(provider_id)
        content = call.outgoing.content
        try:
            proof, base_url = await self._proof(provider_id, provider, key)
            address = call.authorize(proof.reveal(), base_url + call.outgoing.path, content)
        except (KeyFormError, TokenRefusedError):
            raise UpstreamError(provider_refusal(401, b"", provider_id=provider_id, byok=byok)) from None
        headers = {**_HEADERS, **call.outgoing.headers, **address.headers}
        with _our_words(provider_id):
            response = await pool.post(address.url, data=content, headers=headers, allow_redirects=False)
        async with response:
            answer = Response(response.status, response.headers, response.content.iter_any())
            if answer.status >= 400:
                raise UpstreamError(await self._refusal(provider_id, answer, byok))
            yield answer

    def _pool(self, provider_id: str) -> aiohttp.ClientSession:
        found = self._pools.get(provider_id)
        if found is None:
            found = self._pools[provider_id] = _session(self._context, self._timeout)
        return found

    async def _proof(self, provider_id: str, provider: Provider, key: Secret) -> tuple[Secret, str]:
        """The key and the address; on Vertex AI the service account's access token, and its project's address."""
        base_url = provider.base_url.rstrip("/")
        if provider.platform != "vertex" or not key.reveal():
            return key, base_url
        try:
            found = await self._tokens.of(key, provider.token_url)
        except NoTokenError:
            raise UpstreamError(unreachable(provider_id)) from None
        return found.token, base_url.replace("{project}", found.project)

    async def _refusal(self, provider_id: str, response: Response, byok: bool) -> Refusal:
        body = bytearray()
        async for piece in _unpacked(provider_id, response):
            body += piece
            if len(body) > ERROR_BYTES:
                break
        return provider_refusal(
            response.status,
            bytes(body),
            provider_id=provider_id,
            byok=byok,
            retry_after_s=retry_after_s(response.headers.get("retry-after"), datetime.now(UTC)),
        )


def _session(context: ssl.SSLContext, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=MOST_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S, ssl=context, socket_factory=_socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        read_bufsize=READ_AHEAD_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    made.setblocking(False)
    return made


@contextmanager
def _our_words(provider_id: str) -> Iterator[None]:
    """Turns aiohttp's errors into `UpstreamError`; their texts can hold URLs, so they go no further."""
    try:
        yield
    except (aiohttp.ClientError, ConnectionError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            refusal = unreachable(provider_id)
        elif isinstance(error, aiohttp.ServerTimeoutError):
            refusal = timed_out(provider_id, "accept a connection in time")
        else:
            refusal = broke_off(provider_id)
        raise UpstreamError(refusal) from None


@contextmanager
def _reading(provider_id: str, response: Response) -> Iterator[Unpacking]:
    """The content coding of a body, and what goes wrong while it is read as `UpstreamError`."""
    try:
        with _our_words(provider_id):
            yield Unpacking(response.headers.get("content-encoding", ""))
    except (ProtocolError, UnpackingError):
        raise UpstreamError(broke_off(provider_id)) from None


async def _unpacked(provider_id: str, response: Response) -> AsyncIterator[bytes]:
    """The body out of its content coding, piece by piece. Raises UpstreamError."""
    with _reading(provider_id, response) as unpacking:
        async for packed in response.body:
            for piece in unpacking.feed(packed):
                yield piece


async def read_answer(provider_id: str, response: Response) -> bytes:
    """The whole body of an answer that was not streamed.

    Raises:
        UpstreamError: it broke off, or is larger than any answer should be.
    """
    body = bytearray()
    async for piece in _unpacked(provider_id, response):
        body += piece
        if len(body) > ANSWER_BYTES:
            raise UpstreamError(broke_off(provider_id))
    return bytes(body)


async def read_pieces(provider_id: str, response: Response) -> AsyncIterator[bytes]:
    """The bytes of a recording as they come.

    Raises:
        UpstreamError: they broke off.
    """
    async for piece in _unpacked(provider_id, response):
        if piece:
            yield piece


async def read_events(provider_id: str, response: Response, framing: Framing) -> AsyncIterator[str]:
    """The events of a stream, as the protocol frames them.

    Raises:
        UpstreamError: the stream broke off, or makes no sense.
    """
    # Each word of a stream comes here: `_unpacked` would be one generator more on its way.
    with _reading(provider_id, response) as unpacking:
        async for packed in response.body:
            for piece in unpacking.feed(packed):
                for data in framing.feed(piece):
                    yield data
