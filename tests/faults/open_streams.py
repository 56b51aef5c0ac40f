"""Many streams that are open at once, each read to its end, over as many connections as that takes."""

import asyncio
import re
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from tests.stacks import Gateway, chat

PAUSE_S = 0.1
DONE = b"data: [DONE]\n\n"


@dataclass
class OpenStream:
    """One of them."""

    url: str = ""
    content: bytes = b""
    """Whole events."""
    resumed: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def words(self) -> int:
        """How many of the stub's words came."""
        return self.content.count(b'"content":"')


class OpenStreams:
    """Begins streams on entering, and returns once each has begun; leaving waits for their ends."""

    def __init__(self, gateway: Gateway, count: int, text: str) -> None:
        self._gateway = gateway
        self._text = text
        self.all = [OpenStream() for _ in range(count)]

    async def __aenter__(self) -> "OpenStreams":
        self._http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None), trust_env=False)
        self._tasks = [asyncio.create_task(self._read(stream)) for stream in self.all]
        for stream, task in zip(self.all, self._tasks, strict=True):
            begun = asyncio.create_task(stream.begun.wait())
            await asyncio.wait({begun, task}, return_when=asyncio.FIRST_COMPLETED)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await asyncio.gather(*self._tasks)
        for task in self._tasks:
            task.cancel()
        await self._http.aclose()

    async def _read(self, stream: OpenStream) -> None:
        base, headers = self._gateway.base_url, {"authorization": f"Bearer {self._gateway.key}"}
        try:
            asked = self._http.stream(
                "POST", f"{base}/chat/completions", json=chat(self._text, stream=True), headers=headers
            )
            async with asked as response:
                assert response.status_code == 200, await response.aread()
                stream.url = f"{base}/streams/{response.headers['x-sluice-stream']}"
                await self._take(stream, response)
        except httpx.TransportError:
            await self._go_on(stream, headers)

    async def _go_on(self, stream: OpenStream, headers: dict[str, str]) -> None:
        while True:
            stream.resumed += 1
            ids = re.findall(rb"^id: (\d+)$", stream.content, re.MULTILINE)
            last = {"last-event-id": ids[-1].decode()} if ids else {}
            try:
                async with self._http.stream("GET", stream.url, headers=headers | last) as response:
                    assert response.status_code in (200, 204, 503), await response.aread()
                    if response.status_code != 503:
                        await self._take(stream, response)
                        return
            except httpx.TransportError:
                pass
            await asyncio.sleep(PAUSE_S)

    async def _take(self, stream: OpenStream, response: httpx.Response) -> None:
        rest = b""
        async for piece in response.aiter_raw():
            rest += piece
            events, end, rest = rest.rpartition(b"\n\n")
            stream.content += (events + end).replace(b": keep-alive\n", b"")
            if stream.words:
                stream.begun.set()
