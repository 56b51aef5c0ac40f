"""A lean HTTP/1.1 load generator: raw asyncio, so that the client costs as little as it can."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools


@dataclass(slots=True)
class Sample:
    """One request; seconds."""

    total_s: float
    first_byte_s: float
    status: int


@dataclass(slots=True)
class Result:
    """All requests of one run."""

    seconds: float
    samples: list[Sample] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Completed requests a second."""
        return len(self.samples) / self.seconds

    @property
    def errors(self) -> int:
        """Answers other than 200."""
        return sum(1 for sample in self.samples if sample.status != 200)

    def total_ms(self, percent: float) -> float:
        """A percentile of the whole time."""
        return percentile([sample.total_s for sample in self.samples], percent) * 1000

    def first_byte_ms(self, percent: float) -> float:
        """A percentile of the time to the first byte of the body."""
        return percentile([sample.first_byte_s for sample in self.samples], percent) * 1000


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent are below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._done: asyncio.Future[None] | None = None
        self.first_byte_at = 0.0
        self.closed = False
        """The server has ended it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._done and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError())

    def on_body(self, _body: bytes) -> None:
        if not self.first_byte_at:
            self.first_byte_at = time.perf_counter()

    def on_message_complete(self) -> None:
        if self._done and not self._done.done():
            self._done.set_result(None)

    async def request(self, raw: bytes) -> Sample:
        """Sends one request and waits for the whole answer."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self.first_byte_at = 0.0
        started = time.perf_counter()
        self._transport.write(raw)
        await self._done
        ended = time.perf_counter()
        return Sample(ended - started, (self.first_byte_at or ended) - started, self._parser.get_status_code())

    def close(self) -> None:
        """Closes the connection."""
        if self._transport:
            self._transport.close()


def raw_post(host: str, port: int, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def run(
    host: str,
    port: int,
    raw: bytes | Callable[[], bytes],
    *,
    connections: int,
    seconds: float,
    each: int | None = None,
) -> Result:
    """Keeps ``connections`` busy for a time, or for ``each`` requests a connection.

    Args:
        raw: the bytes of every request, or what makes those of the next.
    """
    result = Result(0.0)
    started = time.perf_counter()

    async def keep_busy() -> None:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
        count = 0
        while time.perf_counter() - started < seconds and (each is None or count < each):
            result.samples.append(await connection.request(raw if isinstance(raw, bytes) else raw()))
            count += 1
        connection.close()

    await asyncio.gather(*(keep_busy() for _ in range(connections)))
    result.seconds = time.perf_counter() - started
    return result
