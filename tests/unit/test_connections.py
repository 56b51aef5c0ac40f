"""What a client may send before anybody has looked at it, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from deploy.local.ports import LOOPBACK, free_port
from libs.runtime import connection
from libs.runtime.connection import Connections
from libs.runtime.server import KEEP_ALIVE_S, HttpServer

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"


class App:
    """Answers at once, without reading the body; or streams without end."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/endless":
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def _server(app: App, **bounds: int) -> AsyncIterator[int]:
    port = free_port()
    server = HttpServer(app, LOOPBACK, port, connections=Connections(**bounds), timeout_graceful_shutdown=1)
    await server.start()
    try:
        yield port
    finally:
        await server.stop()


async def _answer(port: int, *pieces: bytes) -> bytes:
    """All that comes back, once the server has closed the connection or has answered."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read(100)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        b"x: " + b"y" * 40_000 + b"\r\n",
        b"".join(b"x%d: y\r\n" % number for number in range(200)),
        b"x: " + b"y" * 3_000_000,
        b"".join(b"x%d: y\r\n" % number for number in range(100_000)),
    ],
)
async def test_headers_are_bounded_whether_or_not_they_end(headers: bytes) -> None:
    app = App()
    async with _server(app) as port:
        assert (await _answer(port, GET, headers, b"\r\n")).startswith(b"HTTP/1.1 431 ")
        assert (await _answer(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 ")
    assert len(app.scopes) == 1


async def test_headers_must_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_S", 0.05)
    app = App()
    async with _server(app) as port:
        for begun in ((), (b"GET /",), (GET,), (b"\r\n",)):
            assert await _answer(port, *begun) == b""
    assert not app.scopes


async def test_a_body_that_nobody_waits_for_is_read_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.05)
    async with _server(App()) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nx")
        answer = await reader.read()
        assert b"200" in answer
        writer.close()


@pytest.mark.parametrize("ending", [b"1;" + b"x" * 3_000_000, b"0\r\nx: " + b"y" * 3_000_000])
async def test_chunk_extensions_and_trailers_are_bounded(ending: bytes) -> None:
    app = App()
    async with _server(app) as port:
        head = b"POST /endless HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n"
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(head + ending)
        with pytest.raises(ConnectionError):
            while await reader.read(1_000_000):
                await writer.drain()
            raise ConnectionError
        writer.close()
    assert all(len(scope["headers"]) == 2 for scope in app.scopes)


async def test_who_reads_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.05)
    connections = Connections(most_of_address=1)
    port = free_port()
    server = HttpServer(App(), LOOPBACK, port, connections=connections, timeout_graceful_shutdown=1)
    await server.start()
    _, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
    while not connections.open(LOOPBACK):
        await asyncio.sleep(0.01)
    writer.close()
    await server.stop()


async def test_who_has_a_place_may_read_nothing_for_long_and_then_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.05)
    connections = Connections(most=2, patient=1)
    port = free_port()
    server = HttpServer(App(), LOOPBACK, port, connections=connections, timeout_graceful_shutdown=1)
    await server.start()
    patient, kept = await _endless(port)
    while connections.stall(LOOPBACK):
        connections.resume(LOOPBACK)
        await asyncio.sleep(0.01)
    cut, other = await _endless(port)
    await cut.readexactly(1)
    while not connections.open("somebody"):
        await asyncio.sleep(0.01)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        # What the kernels hold is less than that.
        await cut.readexactly(200_000_000)
    assert len(await patient.readexactly(200_000_000)) == 200_000_000
    assert connections.stall(LOOPBACK)
    for writer in (kept, other):
        writer.close()
    await server.stop()


async def _endless(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Nothing of it is read before somebody reads: but for the buffers on the way."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port, limit=65_536)
    writer.write(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
    return reader, writer


async def test_connections_of_an_address_are_bounded_and_counted_out() -> None:
    async with _server(App(), most_of_address=2) as port:
        open_ = [await asyncio.open_connection(LOOPBACK, port) for _ in range(2)]
        assert (await _answer(port, GET + b"\r\n")).startswith((b"HTTP/1.1 503 ", b""))
        for _, writer in open_:
            writer.close()
            await writer.wait_closed()
        while not (await _answer(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 "):
            await asyncio.sleep(0.01)


async def test_the_peer_is_who_is_at_the_other_end_whatever_it_says() -> None:
    app = App()
    async with _server(app) as port:
        await _answer(port, GET + b"x-forwarded-for: 1.2.3.4\r\n\r\n")
    assert app.scopes[0]["client"][0] == LOOPBACK


async def test_a_server_that_drains_answers_what_is_on_its_way_and_says_that_it_closes() -> None:
    port = free_port()
    server = HttpServer(App(), LOOPBACK, port, connections=Connections(linger_s=30), timeout_graceful_shutdown=30)
    await server.start()
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(GET + b"\r\n")
    assert b"connection: close" not in await reader.readuntil(b"\r\n0\r\n\r\n")
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)
    writer.write(GET + b"\r\n")
    answer = await reader.read()
    assert (answer.startswith(b"HTTP/1.1 200 "), b"connection: close" in answer) == (True, True)
    writer.close()
    await stopping
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, port)


async def test_a_server_that_drains_closes_what_is_not_used() -> None:
    port = free_port()
    server = HttpServer(App(), LOOPBACK, port, timeout_graceful_shutdown=30)
    await server.start()
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(GET + b"\r\n")
    await reader.readuntil(b"\r\n0\r\n\r\n")
    await server.stop()
    assert await reader.read() == b""
    writer.close()


def test_an_unused_connection_is_kept_for_longer_than_clients_keep_it() -> None:
    of_httpx = httpx.AsyncHTTPTransport()._pool._keepalive_expiry
    assert of_httpx is not None and of_httpx < KEEP_ALIVE_S
