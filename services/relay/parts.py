"""How what comes back from a provider is read: the answer to one call, or to several that are one request."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange, Parts
from libs.chat.providers.protocol import ProtocolError
from services.relay.upstream import Response, read_answer, read_events, read_pieces

MOST_AT_ONCE = 8
"""Calls of one request."""
Ask = Callable[[Exchange], AbstractAsyncContextManager[Response]]
"""Calls the provider; see `services.relay.upstream.Upstreams.call`."""


@dataclass(slots=True)
class Part:
    """A call that has begun, of several that are one request."""

    exchange: Exchange
    began_s: float
    """By `time.monotonic`."""
    counted: TokenUsage | None = None
    """The provider's counts of an answer that came whole."""

    @property
    def usage(self) -> TokenUsage | None:
        """What the provider has counted so far."""
        return self.counted or self.exchange.stream.usage

    @property
    def ended(self) -> bool:
        """Nothing is added to the counts any more."""
        return self.counted is not None or self.exchange.stream.finished


class Answering(Protocol):
    """What comes back. Both raise `UpstreamError`, and, where there are parts, what `Stream.event` raises."""

    parts: list[Part]
    """Of several calls: those that have begun."""

    async def whole(self, begun: Callable[[], None]) -> bytes:
        """The answer. ``begun`` is called when it begins."""

    def pieces(self) -> AsyncIterator[str | bytes]:
        """What the exchange's stream takes, or the bytes of a recording."""


@asynccontextmanager
async def answering(provider_id: str, call: Exchange, ask: Ask) -> AsyncIterator[Answering]:
    """Calls the provider. Raises UpstreamError."""
    if call.parts is None:
        async with ask(call) as response:
            yield _One(provider_id, call, response)
        return
    several = Several(provider_id, call.parts, ask)
    try:
        yield several
    finally:
        await several.stop()


class _One:
    """See `Answering`."""

    def __init__(self, provider_id: str, call: Exchange, response: Response) -> None:
        self.parts: list[Part] = []
        self._provider_id, self._call, self._response = provider_id, call, response

    async def whole(self, begun: Callable[[], None]) -> bytes:
        """See `Answering`."""
        begun()
        return await read_answer(self._provider_id, self._response)

    def pieces(self) -> AsyncIterator[str | bytes]:
        """See `Answering`."""
        if self._call.recording:
            return read_pieces(self._provider_id, self._response)
        return read_events(self._provider_id, self._response, self._call.framing())


Work = Callable[[Part, Response], Awaitable[None]]


class Several:
    """Calls the provider for each part, a few at a time; the first failure ends all. See `Answering`. `stop` it."""

    def __init__(self, provider_id: str, parts: Parts, ask: Ask) -> None:
        self.parts: list[Part] = []
        self._provider_id = provider_id
        self._begin = parts.begin
        self._numbers = iter(range(parts.count))
        self._workers = min(parts.count, MOST_AT_ONCE)
        self._ask = ask
        self._events: asyncio.Queue[str | Exception | None] = asyncio.Queue(1)
        self._working: asyncio.Task[None] | None = None

    async def whole(self, begun: Callable[[], None]) -> bytes:
        """See `Answering`. The parts have read all of it."""

        async def read(part: Part, response: Response) -> None:
            begun()
            data = await read_answer(self._provider_id, response)
            part.counted = part.exchange.whole(data).usage

        await self._each(read)
        return b""

    async def pieces(self) -> AsyncIterator[str | bytes]:
        """See `Answering`."""

        async def relay(part: Part, response: Response) -> None:
            stream = part.exchange.stream
            async for data in read_events(self._provider_id, response, part.exchange.framing()):
                await self._events.put(stream.event(data))
                if stream.done:
                    break
            if not stream.done and not stream.finished:
                raise ProtocolError("a stream has no end")

        self._working = asyncio.create_task(self._feed(relay))
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def stop(self) -> None:
        """Ends calls that still run."""
        if self._working:
            self._working.cancel()
            await asyncio.wait({self._working})

    async def _feed(self, relay: Work) -> None:
        try:
            await self._each(relay)
        except Exception as error:
            await self._events.put(error)
        else:
            await self._events.put(None)

    async def _each(self, work: Work) -> None:
        async def worker() -> None:
            for number in self._numbers:
                part = Part(self._begin(number), time.monotonic())
                self.parts.append(part)
                async with self._ask(part.exchange) as response:
                    await work(part, response)

        workers = [asyncio.create_task(worker()) for _ in range(self._workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for one in workers:
                one.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
