"""Calls of MCP servers that users registered: allowed addresses only, nothing followed, and bounds on everything."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import blake2b

import aiohttp
import httpx
import structlog
from pydantic_core import from_json

from libs.chat.providers.protocol import ProtocolError
from libs.chat.providers.sse import ServerSentEvents
from libs.mcp import client, headers
from libs.mcp.client import Answer, AnswerError, Post, Reading, Session
from libs.mcp.messages import Json
from libs.mcp.registration import Registration, RegistrationError
from libs.outbound.http import Outbound
from libs.sealing.secret import Secret
from services.relay.core.servers import broke_off, not_allowed, refusal_of, too_large, unreachable
from services.relay.server_tokens import ServerTokens
from services.relay.upstream import UpstreamError

log = structlog.get_logger()

CONNECT_S = 5.0
GOODBYE_S = 2.0
HELLO_BYTES = 256 * 1024
MOST_KNOWN = 10_000
KNOWN_FOR_S = 600.0
_NOT_ABOUT_MCP = (401, 403, 407, 429)
"""Statuses that say nothing of the question."""
_HEADERS = {"User-Agent": "sluice", "Content-Type": "application/json", "Accept-Encoding": "identity"}

OnNotification = Callable[[Json], Awaitable[None]]
"""Given each notification that comes before the answer."""


async def ignore(_notification: Json) -> None:
    """Drops a notification."""


class Servers:
    """All servers, and which of them know a revision without a handshake."""

    def __init__(self, outbound: Outbound, answer_bytes: int) -> None:
        """
        Args:
            answer_bytes: the most of one answer.
        """
        self._outbound = outbound
        self._answer_bytes = answer_bytes
        self._modern: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()
        self.tokens = ServerTokens(outbound)

    def server(self, name: str, secret: Secret) -> "Server":
        """A server, by what a grant holds. Raises UpstreamError where that may not be called."""
        try:
            registration = Registration.decode(secret)
            registration.check(self._outbound.reachable)
        except RegistrationError as error:
            log.warning("an MCP server's address was refused", server=name)
            raise UpstreamError(not_allowed(name, str(error))) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise UpstreamError(not_allowed(name, "it is no registration")) from None
        return Server(name, registration, self, self._outbound, self._answer_bytes)

    def is_modern(self, url: str) -> bool | None:
        """What was found out of a server lately."""
        found = self._modern.get(_digest(url))
        if found is None or asyncio.get_running_loop().time() - found[1] > KNOWN_FOR_S:
            return None
        return found[0]

    def forget(self, url: str) -> None:
        """It may have changed: the next call finds out."""
        self._modern.pop(_digest(url), None)

    def note(self, url: str, *, modern: bool) -> None:
        """Adds what was found out."""
        key = _digest(url)
        self._modern[key] = modern, asyncio.get_running_loop().time()
        self._modern.move_to_end(key)
        if len(self._modern) > MOST_KNOWN:
            self._modern.popitem(last=False)


def _digest(url: str) -> bytes:
    """A URL can hold a key."""
    return blake2b(url.encode(), digest_size=16).digest()


class Server:
    """One server, for one request."""

    def __init__(
        self, name: str, registration: Registration, servers: Servers, outbound: Outbound, answer_bytes: int
    ) -> None:
        self._name = name
        self._registration = registration
        self._servers = servers
        self._outbound = outbound
        self._answer_bytes = answer_bytes

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """How the server is spoken with; a session that had to be begun ends with this. Raises UpstreamError."""
        url = self._registration.url
        modern = self._servers.is_modern(url)
        if modern is None:
            answer, _ = await self._ask(client.discover(), client.HELLO_ID, HELLO_BYTES, tolerant=True)
            modern = client.speaks_modern(answer)
            self._servers.note(url, modern=modern)
        if modern:
            yield client.STATELESS
            return
        answer, session_id = await self._ask(client.initialize(), client.HELLO_ID, HELLO_BYTES)
        try:
            session = client.begun(answer, session_id)
        except AnswerError:
            raise UpstreamError(broke_off(self._name)) from None
        try:
            async with self._call("POST", client.initialized(session)) as response:
                if response.status_code >= 300:
                    raise UpstreamError(refusal_of(self._name, response.status_code))
            yield session
        finally:
            if session.id is not None:
                await self._goodbye(session)

    async def ask(self, post: Post, on_notification: OnNotification = ignore) -> Answer:
        """The answer to a request. Raises UpstreamError."""
        try:
            answer, _ = await self._ask(post, client.ID, self._answer_bytes, on_notification)
        except UpstreamError:
            self._servers.forget(self._registration.url)
            raise
        if answer is None:
            raise UpstreamError(broke_off(self._name))
        return answer

    async def _ask(
        self,
        post: Post,
        id: int,
        most_bytes: int,
        on_notification: OnNotification = ignore,
        *,
        tolerant: bool = False,
    ) -> tuple[Answer | None, str | None]:
        """
        Args:
            tolerant: a server that does not know the question may say so in any way.

        Returns:
            The answer, if one came, and the name of the session that it began.
        """
        reading = Reading(id)
        async with self._call("POST", post) as response:
            status = response.status_code
            if 300 <= status < 400 or status in _NOT_ABOUT_MCP or status >= 500:
                raise UpstreamError(refusal_of(self._name, status))
            try:
                await self._read(response, reading, most_bytes, on_notification)
            except (AnswerError, ProtocolError, ValueError):
                if not tolerant and status < 300:
                    raise UpstreamError(broke_off(self._name)) from None
            if status >= 300 and not tolerant and not (reading.answer and reading.answer.error):
                raise UpstreamError(refusal_of(self._name, status))
            return reading.answer, response.headers.get(headers.SESSION)

    async def _read(
        self, response: httpx.Response, reading: Reading, most_bytes: int, on_notification: OnNotification
    ) -> None:
        events = response.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"
        framing, body, size = ServerSentEvents(), bytearray(), 0
        async for piece in response.aiter_bytes():
            size += len(piece)
            if size > most_bytes:
                raise UpstreamError(too_large(self._name, most_bytes))
            if not events:
                body += piece
                continue
            for data in framing.feed(piece):
                reading.take(from_json(data))
                while reading.notifications:
                    await on_notification(reading.notifications.pop(0))
                if reading.answer:
                    return
        if not events and body:
            reading.take(from_json(bytes(body)))

    @asynccontextmanager
    async def _call(self, method: str, post: Post) -> AsyncIterator[httpx.Response]:
        response = await self._send(method, post)
        try:
            yield response
        except (httpx.HTTPError, aiohttp.ClientError, OSError):
            raise UpstreamError(broke_off(self._name)) from None
        finally:
            await response.aclose()

    async def _send(self, method: str, post: Post) -> httpx.Response:
        """The beginning of an answer. A server that does not take a token is asked once more, with a new one."""
        oauth, url = self._registration.oauth, self._registration.url
        if oauth is None:
            return await self._send_with(method, post, {})
        token = await self._servers.tokens.of(self._name, url, oauth)
        response = await self._send_with(method, post, _bearer(token))
        if response.status_code != 401:
            return response
        await response.aclose()
        token = await self._servers.tokens.of(self._name, url, oauth, refused=token)
        return await self._send_with(method, post, _bearer(token))

    async def _send_with(self, method: str, post: Post, proof: Mapping[str, str]) -> httpx.Response:
        sent = httpx.Headers(_HEADERS)
        for more in (self._registration.headers, proof, post.headers):
            sent.update(more)
        request = httpx.Request(
            method,
            self._registration.url,
            content=post.content,
            headers=sent,
            extensions={"timeout": httpx.Timeout(None, connect=CONNECT_S).as_dict()},
        )
        try:
            return await self._outbound.send(request)
        except (httpx.HTTPError, aiohttp.ClientError, OSError):
            raise UpstreamError(unreachable(self._name)) from None

    async def _goodbye(self, session: Session) -> None:
        """Ends a session; a server may keep it all the same."""
        with contextlib.suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S), self._call("DELETE", Post(b"", client.goodbye(session))):
                pass


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
