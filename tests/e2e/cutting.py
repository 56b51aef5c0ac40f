"""A proxy that cuts connections after so many bytes of the answer: what Wi-Fi, a laptop's lid and a deploy do."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Proxy:
    """Passes TCP on. A connection whose request has the header ``x-cut`` is cut after so many bytes from the server."""

    def __init__(self, target: str, every: int | None, headers: Mapping[str, str]) -> None:
        """
        Args:
            every: all connections are cut after so many bytes from the server; None: none, but for ``x-cut``.
            headers: more of them, for each request; there is one on a connection then.
        """
        self._target = urlsplit(target)
        self._every = every
        self._more = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        self.cuts = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        wanted = re.search(rb"\r\nx-cut: (\d+)", head)
        left = int(wanted[1]) if wanted else self._every
        up_reader, up_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        up_writer.write(self._with_more(head))
        sending = asyncio.create_task(_copy(reader, up_writer))
        try:
            while left != 0 and (data := await up_reader.read(left or 65_536)):
                writer.write(data)
                await writer.drain()
                left = None if left is None else left - len(data)
            self.cuts += left == 0
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            writer.close()
            up_writer.transport.abort()

    def _with_more(self, head: bytes) -> bytes:
        if not self._more:
            return head
        alone = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head[:-2])
        return alone + self._more + b"connection: close\r\n\r\n"


@asynccontextmanager
async def cutting(
    target: str, every: int | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Proxy]:
    """A proxy before ``target``; see `Proxy`."""
    proxy = Proxy(target, every, headers or {})
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
