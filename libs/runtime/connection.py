"""HTTP/1.1 connections with bounds on what a client may send, and how slowly, before anybody has looked at it.

uvicorn bounds none of it: a header of 30 MiB is kept, and a connection that sends nothing stays for ever. What a
request's body may cost is for its reader to bound, who knows whose it is.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from libs.runtime.budget import Budget
from libs.runtime.framing import Parser, RawHeaders, refusal

HEADER_BYTES = 32 * 1024
"""Of the request line and all headers."""
HEADERS = 100
HEADER_S = 10.0
"""From a connection's beginning, or the first byte of a further request, to the end of its headers."""
PIPELINED = 16
"""Requests that were sent before the answer to an earlier one."""
FRAMING_BYTES = 64 * 1024
FRAMING_RATIO = 8
"""Of a body's transfer: chunks of one byte take six. What is beyond is chunk extensions and trailers."""
LINGER_S = 5.0
"""Where the answer came before the body's end, the client has so long to send the rest, which is thrown away. Closed
at once, the connection would be reset, and the client might not see why."""
STALLED_S = 30.0
"""So long a client may read nothing of what is there for it, without one of the places of `Connections.patient`."""
PATIENCE_S = 600.0
"""So long with one."""
PATIENT_BYTES = 512 * 1024
"""With more to write than that a connection has no such place."""
PATIENT_SHARE = 8
"""An address has no more than this part of them, where addresses are bounded."""


class Connections:
    """How many there may be of one server, and of one address."""

    def __init__(
        self, most: int = 8_192, most_of_address: int | None = None, *, linger_s: float = 0.0, patient: int = 0
    ) -> None:
        """
        Args:
            most_of_address: None: without a bound, as behind a proxy, from which all come.
            linger_s: how long a connection without a request stays open while the server drains. Closed at once, it
                could meet a request that is on its way (RFC 9112, section 9.5), which then has no answer.
            patient: how many clients may read nothing for long, at a time.
        """
        self._stalled = Budget(patient, max(1, patient // PATIENT_SHARE) if most_of_address else patient)
        self.linger_s = linger_s
        self.draining = False
        """Each answer that begins says ``Connection: close``, and what has no request is closed after ``linger_s``."""
        self._open = Budget(most, most_of_address or most)

    def open(self, address: str) -> bool:
        """Counts one in; False, and it is not counted, where there are too many."""
        return self._open.take(address)

    def stall(self, address: str) -> bool:
        """Gives one whose client reads nothing a place; False where there is none."""
        return self._stalled.take(address)

    def resume(self, address: str) -> None:
        """Takes the place back that `stall` gave."""
        self._stalled.give(address)

    def close(self, address: str) -> None:
        """Counts one out that `open` counted in."""
        self._open.give(address)


Gate = Callable[[bytes, RawHeaders], bytes | None]
"""Given a request's target and headers: the whole answer to one that goes no further, None for any other."""


def bounded(connections: Connections, gate: Gate | None = None) -> Callable[..., "BoundedConnection"]:
    """The ``http`` of a uvicorn configuration."""

    def make(config: Config, server_state: ServerState, app_state: dict[str, Any], **more: Any) -> BoundedConnection:
        return BoundedConnection(connections, gate, config, server_state, app_state, **more)

    return make


class _Answered:
    """In place of a request's cycle, where the gate has answered."""

    response_complete = True
    keep_alive = True
    more_body = False
    body = bytearray()
    message_event = asyncio.Event()


_ANSWERED = _Answered()


class _Timer:
    """Calls a function once, unless it is stopped before."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self._seconds = seconds
        self._work = work
        self._handle: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self) -> None:
        """Begins anew."""
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._work)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class BoundedConnection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, connections: Connections, gate: Gate | None, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.parser = Parser(self)  # type: ignore[assignment]
        self._connections = connections
        self._gate = gate
        self._address = ""
        self._counted = False
        self._in_headers = True
        """Of the next request; its first byte may not be here yet."""
        self._received = 0
        """Bytes since the last request's end."""
        self._body = 0
        self._headers_due = _Timer(HEADER_S, self._close)
        self._rest_due = _Timer(LINGER_S, self._close)
        self._reading_due = _Timer(STALLED_S, self._look_at_writing)
        self._unused_due = _Timer(connections.linger_s, self._close_unused)
        self._unread = 0
        self._stalled_s: float | None = None
        """Since when its client has read nothing, if it has a place for that."""
        self._refusal: tuple[int, str] | None = None
        """Of the request whose headers have come."""
        self._refused = False

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport.
        transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._counted = self._connections.open(self._address)
        if not self._counted:
            transport.write(raw_error(503, "There are too many connections; try again in a moment.", retry=True))
            transport.close()
            return
        self._headers_due.start()
        if self._connections.draining:
            self._unused_due.start()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._headers_due, self._rest_due, self._reading_due, self._unused_due):
            timer.stop()
        self._end_stall()
        if self._counted:
            self._counted = False
            self._connections.close(self._address)
        super().connection_lost(exc)

    # What comes in.

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._received += len(data)
        if self._in_headers and not self._headers_due.runs:
            self._headers_due.start()
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._in_headers:
            if self._received > HEADER_BYTES or len(self.headers or ()) > HEADERS:
                self._refuse(431, "The request's headers are too large, or too many.")
        elif self._received > self._body * FRAMING_RATIO + HEADER_BYTES + FRAMING_BYTES:
            self._refuse(400, "The body's framing is larger than the body.")

    def on_header(self, name: bytes, value: bytes) -> None:
        # Those that come after a body are trailers, which nobody here reads.
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._refusal = self._judged()
        if self._refusal:
            # The parser stops, and reports a bad request.
            raise ValueError(self._refusal[1])
        if self.parser.should_upgrade():
            # See `Parser`: it comes again.
            return
        self._in_headers, self._body = False, 0
        self._headers_due.stop()
        if self._gate and (self.cycle is None or self.cycle.response_complete) and self.parser.should_keep_alive():
            answer = self._gate(self.url, self.headers)
            if answer is not None:
                self.transport.write(answer)
                self.cycle = cast("RequestResponseCycle", _ANSWERED)
                self.on_response_complete()
                return
        super().on_headers_complete()
        if self._connections.draining:
            self._unused_due.stop()
            self.cycle.keep_alive = False

    def _judged(self) -> tuple[int, str] | None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEADER_BYTES or len(self.headers) > HEADERS:
            return 431, "The request's headers are too large, or too many."
        if len(self.pipeline) >= PIPELINED:
            return 431, "Too many requests were sent before the answer to an earlier one."
        return refusal(self.parser.get_method(), self.parser.get_http_version(), self.headers)

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_headers, self._received = True, 0
        self._rest_due.stop()
        super().on_message_complete()
        if self.cycle.response_complete and self.timeout_keep_alive_task is None:
            # It was answered before its body's end, whose coming has ended the time-out.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        self._refuse(*(self._refusal or (400, msg)))

    # What goes out.

    def on_response_complete(self) -> None:
        if self.cycle is not None:
            # Who keeps the connection alive is not to keep the last body alive with it.
            self.cycle.body = bytearray()
        if not self._in_headers and not self.pipeline:
            self._rest_due.start()
        super().on_response_complete()
        if self._connections.draining and not self.pipeline:
            self._unused_due.start()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._reading_due.start()

    def resume_writing(self) -> None:
        self._reading_due.stop()
        self._end_stall()
        super().resume_writing()

    # Ends.

    def shutdown(self) -> None:
        """The server drains. An answer that has begun has promised to keep the connection, and so it is kept."""
        if self.pipeline:
            self.pipeline[0][0].keep_alive = False
        elif self.cycle is None or self.cycle.response_complete:
            self._unused_due.start()
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def _close_unused(self) -> None:
        """What has begun to come is bounded by `HEADER_S`."""
        if not self._received:
            self._close()

    def _look_at_writing(self) -> None:
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread < before:
            self._end_stall()
            self._reading_due.start()
        elif self._may_stall():
            self._reading_due.start()
        else:
            self.transport.abort()

    def _may_stall(self) -> bool:
        if self._stalled_s is None:
            if self._unread > PATIENT_BYTES or not self._connections.stall(self._address):
                return False
            self._stalled_s = self.loop.time()
        return self.loop.time() - self._stalled_s < PATIENCE_S

    def _end_stall(self) -> None:
        if self._stalled_s is not None:
            self._stalled_s = None
            self._connections.resume(self._address)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answers, where no answer is on its way. What still comes is thrown away: see `LINGER_S`."""
        self._refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self._close()
            return
        self.transport.write(raw_error(status, message))
        self.transport.write_eof()
        self._rest_due.start()


def raw_error(status: int, message: str, *, retry: bool = False) -> bytes:
    """An answer in bytes, after which the connection closes."""
    body = b'{"error":{"message":"%s","code":%d}}' % (message.encode(), status)
    again = b"retry-after: 1\r\n" if retry else b""
    return b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n%s" % (
        status,
        len(body),
        again,
        body,
    )
