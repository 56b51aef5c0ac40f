"""Streams of a Sluice that go on by themselves when a connection breaks, for every client on httpx or httpx2.

    openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient(transport=async_resuming()), base_url=...)

Each streamed answer of Sluice has an ``X-Sluice-Stream``, and each event an ``id:``. Where a connection breaks, the
transport asks ``GET /streams/ID`` with ``Last-Event-ID``, and the client sees one stream without a seam.
"""

import asyncio
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

__all__ = ["GivenUpError", "async_resuming", "resuming"]

FIRST_S = 0.2
MOST_S = 5.0
_END = b"\n\n"
_ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)
_COMMENTS = re.compile(rb"\A(?::[^\n]*\n)+")
_STREAMS = re.compile(rb'"stream"\s*:\s*true')
_NAMING = ("authorization", "x-api-key", "x-kilocode-organizationid", "idempotency-key")
"""Headers by which Sluice knows whose the stream is."""
_LATER = (429, 500, 502, 503, 504)


def resuming(transport: Any = None, *, give_up_s: float = 60.0, url: str | None = None) -> Any:
    """The transport of a ``Client`` of httpx or httpx2.

    Args:
        transport: which sends requests; by default the library's own.
        give_up_s: so long after a break without a further event `GivenUpError` is raised.
        url: the base URL of the gateway, where it is not ``/api/gateway`` at the same host.
    """
    return _Resuming(transport, give_up_s, url)


def async_resuming(transport: Any = None, *, give_up_s: float = 60.0, url: str | None = None) -> Any:
    """The same for an ``AsyncClient``."""
    return _AsyncResuming(transport, give_up_s, url)


class GivenUpError(Exception):
    """The stream could not be gone on with; ``stream`` and ``last_id`` say with what to ask later."""

    def __init__(self, why: str, stream: str, last_id: str | None) -> None:
        super().__init__(f"the stream {stream} broke off after {last_id or 'nothing'}: {why}")
        self.stream = stream
        self.last_id = last_id


def _library(request: Any) -> Any:
    """httpx or httpx2: whose request it is."""
    return sys.modules[type(request).__module__.partition(".")[0]]


class _Progress:
    """What has come of one stream. Whole events are passed on; of one in part the rest is asked for, as the ID of an
    event counts the bytes up to its end."""

    def __init__(self, request: Any, stream: str, give_up_s: float, url: str | None) -> None:
        base = url or f"{request.url.scheme}://{request.url.netloc.decode()}/api/gateway"
        self.stream = stream
        self.url = f"{base}/streams/{stream}"
        self.last_id: str | None = None
        self.ended = False
        self.library = _library(request)
        self._headers = {name: request.headers[name] for name in _NAMING if name in request.headers}
        self._extensions = request.extensions
        self._give_up_s = give_up_s
        self._rest = b""
        self._broken_since_s: float | None = None
        self._tries = 0

    def take(self, piece: bytes) -> bytes:
        events, end, rest = (self._rest + piece).rpartition(_END)
        self._rest = rest
        self._broken_since_s, self._tries = None, 0
        if not end:
            return b""
        found = _ID.findall(events)
        if found:
            self.last_id = found[-1].decode()
        return events + end

    def rest(self) -> bytes:
        """The stream has ended; what comes after its last event."""
        self.ended = True
        rest, self._rest = self._rest, b""
        return rest

    def asking(self, method: str = "GET") -> Any:
        # Comments are the connection's, and do not count.
        self._rest = _COMMENTS.sub(b"", self._rest)
        at = int(self.last_id or 0) + len(self._rest)
        last = {"last-event-id": str(at)} if at and method == "GET" else {}
        headers = {**self._headers, **last}
        return self.library.Request(method, self.url, headers=headers, extensions=self._extensions)

    def pause_s(self, why: str, retry_after: str | None = None) -> float:
        """How long to wait; full jitter. Raises GivenUpError."""
        now_s = time.monotonic()
        self._broken_since_s = self._broken_since_s or now_s
        pause_s = random.uniform(0, min(MOST_S, FIRST_S * 2**self._tries))  # noqa: S311
        if retry_after and retry_after.isdigit():
            pause_s += int(retry_after)
        self._tries += 1
        if now_s + pause_s - self._broken_since_s > self._give_up_s:
            raise GivenUpError(why, self.stream, self.last_id)
        return pause_s

    def answered(self, response: Any) -> bool:
        """The gateway was asked to go on; False where it is to be asked again. Raises GivenUpError."""
        status = response.status_code
        if status in _LATER:
            return False
        if status not in (200, 204):
            raise GivenUpError(f"status {status}", self.stream, self.last_id)
        self.ended = self.ended or status == 204
        return True


def _prepared(request: Any, content: bytes) -> None:
    """An answer goes on without its client; who leaves for good says so by `DELETE`."""
    if _STREAMS.search(content):
        request.headers.setdefault("x-sluice-on-disconnect", "continue")


def _stream_of(request: Any, response: Any) -> str | None:
    if request.method != "POST" or response.status_code != 200:
        return None
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        return None
    stream: str | None = response.headers.get("x-sluice-stream")
    return stream


def _content(request: Any) -> bytes:
    try:
        content: bytes = request.content
    except _library(request).RequestNotRead:
        return b""
    return content


class _Body:
    def __init__(self, transport: Any, response: Any, progress: _Progress) -> None:
        self._transport = transport
        self._response = response
        self._progress = progress

    def __iter__(self) -> Iterator[bytes]:
        progress = self._progress
        while True:
            try:
                for piece in self._response.iter_raw():
                    if events := progress.take(piece):
                        yield events
                if rest := progress.rest():
                    yield rest
                return
            except progress.library.TransportError as error:
                self._again(repr(error))
            if progress.ended:
                return

    def _again(self, why: str) -> None:
        retry_after: str | None = None
        while True:
            self._response.close()
            time.sleep(self._progress.pause_s(why, retry_after))
            try:
                self._response = self._transport.handle_request(self._progress.asking())
            except self._progress.library.TransportError as error:
                why, retry_after = repr(error), None
                continue
            if self._progress.answered(self._response):
                return
            why, retry_after = f"status {self._response.status_code}", self._response.headers.get("retry-after")

    def close(self) -> None:
        self._response.close()
        if not self._progress.ended:
            self._progress.ended = True
            try:
                self._transport.handle_request(self._progress.asking("DELETE")).close()
            except self._progress.library.TransportError:
                # It goes on, and ends by itself.
                return


class _AsyncBody:
    def __init__(self, transport: Any, response: Any, progress: _Progress) -> None:
        self._transport = transport
        self._response = response
        self._progress = progress

    async def __aiter__(self) -> AsyncIterator[bytes]:
        progress = self._progress
        while True:
            try:
                async for piece in self._response.aiter_raw():
                    if events := progress.take(piece):
                        yield events
                if rest := progress.rest():
                    yield rest
                return
            except progress.library.TransportError as error:
                await self._again(repr(error))
            if progress.ended:
                return

    async def _again(self, why: str) -> None:
        retry_after: str | None = None
        while True:
            await self._response.aclose()
            await asyncio.sleep(self._progress.pause_s(why, retry_after))
            try:
                self._response = await self._transport.handle_async_request(self._progress.asking())
            except self._progress.library.TransportError as error:
                why, retry_after = repr(error), None
                continue
            if self._progress.answered(self._response):
                return
            why, retry_after = f"status {self._response.status_code}", self._response.headers.get("retry-after")

    async def aclose(self) -> None:
        await self._response.aclose()
        if not self._progress.ended:
            self._progress.ended = True
            try:
                await (await self._transport.handle_async_request(self._progress.asking("DELETE"))).aclose()
            except self._progress.library.TransportError:
                # It goes on, and ends by itself.
                return


def _resumed(progress: _Progress, response: Any, body: Any, kind: type) -> Any:
    # The library asserts that a body is of its own type.
    body.__class__ = type(type(body).__name__, (type(body), kind), {})
    return progress.library.Response(
        response.status_code, headers=response.headers, stream=body, extensions=response.extensions
    )


class _Resuming:
    def __init__(self, transport: Any, give_up_s: float, url: str | None) -> None:
        self._transport = transport
        self._give_up_s = give_up_s
        self._url = url

    def handle_request(self, request: Any) -> Any:
        """Sends a request; an answer in events is gone on with where it breaks off."""
        library = _library(request)
        self._transport = self._transport or library.HTTPTransport()
        _prepared(request, _content(request))
        response = self._transport.handle_request(request)
        stream = _stream_of(request, response)
        if stream is None:
            return response
        progress = _Progress(request, stream, self._give_up_s, self._url)
        return _resumed(progress, response, _Body(self._transport, response, progress), library.SyncByteStream)

    def close(self) -> None:
        """Closes its connections."""
        if self._transport:
            self._transport.close()

    def __enter__(self) -> "_Resuming":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _AsyncResuming:
    def __init__(self, transport: Any, give_up_s: float, url: str | None) -> None:
        self._transport = transport
        self._give_up_s = give_up_s
        self._url = url

    async def handle_async_request(self, request: Any) -> Any:
        """Sends a request; an answer in events is gone on with where it breaks off."""
        library = _library(request)
        self._transport = self._transport or library.AsyncHTTPTransport()
        _prepared(request, _content(request))
        response = await self._transport.handle_async_request(request)
        stream = _stream_of(request, response)
        if stream is None:
            return response
        progress = _Progress(request, stream, self._give_up_s, self._url)
        return _resumed(progress, response, _AsyncBody(self._transport, response, progress), library.AsyncByteStream)

    async def aclose(self) -> None:
        """Closes its connections."""
        if self._transport:
            await self._transport.aclose()

    async def __aenter__(self) -> "_AsyncResuming":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
