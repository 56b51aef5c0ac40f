"""Receivers of sinks: a small HTTP server, and an SMTP server written by others."""

import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.controller import Controller
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.local.ports import LOOPBACK, free_port
from libs.runtime.server import HttpServer
from services.sinks.core.rows import TEXT_COLUMNS
from services.sinks.kit import Mood

GZIP = b"\x1f\x8b\x08"
IdsOf = Callable[[Request, bytes], list[str]]


class HttpReceiver:
    """Counts what it takes."""

    def __init__(self, ids_of: IdsOf) -> None:
        self.mood = Mood.TAKES
        self.port = free_port()
        self.requests: list[tuple[dict[str, str], bytes, str]] = []
        """Headers, body and query."""
        self.ids: list[str] = []
        self.refused: set[str] = set()
        """IDs that it never takes."""
        self._ids_of = ids_of

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.port}"

    def taken(self) -> list[str]:
        """See `services.sinks.kit.Receiver`."""
        return self.ids

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if self.mood is Mood.AWAY:
            return Response(status_code=503)
        ids = self._ids_of(request, body)
        if self.mood is Mood.REFUSES or self.refused & set(ids):
            return Response(status_code=422)
        self.requests.append((dict(request.headers), body, str(request.url.query)))
        self.ids += ids
        return Response("{}", media_type="application/json")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HttpReceiver"]:
        """Serves meanwhile."""
        app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])
        server = HttpServer(app, LOOPBACK, self.port)
        await server.start()
        try:
            yield self
        finally:
            await server.stop()


def webhook_ids(request: Request, _body: bytes) -> list[str]:
    """Of Standard Webhooks."""
    return [request.headers["webhook-id"]]


def row_ids(_request: Request, body: bytes) -> list[str]:
    """Of JSONEachRow."""
    return [json.loads(line)["id"] for line in body.splitlines()]


def span_ids(_request: Request, body: bytes) -> list[str]:
    """Of OTLP's JSON, as the kit's events have them."""
    (resource,) = json.loads(body)["resourceSpans"] if body else []
    return [f"evt_{int(span['spanId'], 16):032x}" for span in resource["scopeSpans"][0]["spans"]]


class MailReceiver:
    """aiosmtpd's server."""

    def __init__(self) -> None:
        self.mood = Mood.TAKES
        self.port = free_port()
        self.mails: list[str] = []
        self._controller = Controller(self, hostname=LOOPBACK, port=self.port)

    def taken(self) -> list[str]:
        """See `services.sinks.kit.Receiver`."""
        return [mail.partition("Message-ID: <")[2].partition("@")[0] for mail in self.mails]

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Takes a mail, or does not."""
        if self.mood is Mood.AWAY:
            return "451 later"
        if self.mood is Mood.REFUSES:
            return "554 no"
        self.mails.append(envelope.content.decode())
        return "250 OK"

    def start(self) -> None:
        """Serves in a thread of its own."""
        self._controller.start()

    def stop(self) -> None:
        """Ends."""
        self._controller.stop()


def ids_in(file: bytes) -> list[str]:
    """The first column, ``id``, of a Parquet file that a sink wrote."""
    return texts_in(file, "id")


def texts_in(file: bytes, column: str) -> list[str]:
    """A column of text of such a file. Text columns come first, and each is one page of gzip."""
    data, rest = b"", file
    for _ in range(TEXT_COLUMNS.index(column) + 1):
        page = zlib.decompressobj(wbits=31)
        data = page.decompress(rest[rest.index(GZIP) :])
        rest = page.unused_data
    found: list[str] = []
    while data:
        size = int.from_bytes(data[:4], "little")
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found
