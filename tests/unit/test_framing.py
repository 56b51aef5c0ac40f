"""What a proxy and this server could read differently, over real sockets: nothing is smuggled."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send

from deploy.local.ports import LOOPBACK, free_port
from libs.runtime.server import HttpServer
from tests.fuzz.wire import CASES, SECOND, Reading, as_h11_reads, changed

CHANGED = 400
SETTLED_S = 20.0


class Reader:
    """Reads each body to its end before it answers."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.read: list[tuple[bytes, bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        self.read.append((scope["method"].encode(), scope["raw_path"] + query, body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def _server(app: Reader) -> AsyncIterator[int]:
    port = free_port()
    server = HttpServer(app, LOOPBACK, port, timeout_graceful_shutdown=1)
    await server.start()
    try:
        yield port
    finally:
        await server.stop()


async def _sent(port: int, data: bytes) -> bytes:
    """All that comes back for this, and then the client's end."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(SETTLED_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_nothing_is_smuggled() -> None:
    app = Reader()
    async with _server(app) as port:
        for name, case in CASES.items():
            app.begun.clear()
            app.read.clear()
            answer = await _sent(port, case.first + SECOND)
            smuggled = "/second" in app.begun
            assert smuggled is (case.reading is Reading.TWO), f"{name}: {app.begun}"
            assert len(app.read) == {Reading.REFUSED: 0, Reading.ONE: 1, Reading.TWO: 2}[case.reading], name
            assert answer.count(b"HTTP/1.1 200") == len(app.read), name


async def test_where_another_reader_takes_a_request_it_is_the_same_one() -> None:
    app, chance = Reader(), random.Random(19)
    async with _server(app) as port:
        for _ in range(CHANGED):
            data = changed(chance)
            app.read.clear()
            await _sent(port, data)
            other = as_h11_reads(data)
            if other is not None:
                assert app.read == other[: len(app.read)], data


async def test_the_offer_of_another_protocol_costs_no_body() -> None:
    app = Reader()
    offer = (
        b"POST /java HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 5\r\nHost: x\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n\r\n"
    )
    async with _server(app) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for pieces in ((offer + b"hello",), (offer, b"hel", b"lo"), (offer[:70], offer[70:] + b"hello")):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert app.read == [(b"POST", b"/java", b"hello")] * 3
