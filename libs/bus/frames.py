"""A broker's answers are read where they arrive, without a task that waits for them.

aiokafka reads through a StreamReader: each answer wakes a task twice, for its size and for itself, in two turns of the
event loop. Here the transport's own call cuts the bytes and gives each answer to whoever waits for it.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import CorrelationIdError, IncompatibleBrokerVersion, KafkaConnectionError

from libs.bus.messages import Api

log = structlog.get_logger()

MOST_BYTES = 128 * 1024 * 1024
"""Of one answer. The largest is that of a fetch: `BusSettings.fetching`."""
_SIZE_BYTES = 4
_CORRELATION_BYTES = 4
_HEADER = struct.Struct(">ihhih")
"""Size, API, its version, correlation ID, size of the client's name, which follows."""


class Frames:
    """Cuts a stream of bytes into frames: a size (INT32, big-endian), then so many bytes. Pure."""

    __slots__ = ("_needed", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that end in these bytes.

        Raises:
            ValueError: a size is negative, or more than `MOST_BYTES`.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        found, start, end = [], 0, len(data)
        self._needed = _SIZE_BYTES
        while end - start >= _SIZE_BYTES:
            begin = start + _SIZE_BYTES
            size = int.from_bytes(data[start:begin], "big", signed=True)
            if not 0 <= size <= MOST_BYTES:
                raise ValueError(f"an answer of {size} bytes")
            if begin + size > end:
                self._needed = _SIZE_BYTES + size
                break
            found.append(data[begin : begin + size])
            start = begin + size
        self._rest += data[start:]
        return found


class _Expected:
    """An answer for which no task waits, in the place of a future among a connection's requests."""

    __slots__ = ("answered", "set_exception")

    def __init__(self, answered: Callable[[bytes], None], failed: Callable[[BaseException], None]) -> None:
        self.answered = answered
        self.set_exception = failed

    def done(self) -> bool:
        return False


def connection_to(client: AIOKafkaClient, node_id: int) -> AIOKafkaConnection | None:
    """The client's connection to a broker, if there is one; `AIOKafkaClient.ready` makes one."""
    found = client._conns.get((node_id, ConnectionGroup.DEFAULT))
    return found if found and found.connected() else None


def speaks(connection: AIOKafkaConnection, api: Api) -> None:
    """Raises IncompatibleBrokerVersion where the broker does not know a kind of request."""
    oldest, newest = connection._versions.get(api.key, (0, -1))
    if not oldest <= api.version <= newest:
        raise IncompatibleBrokerVersion(f"requests {api.key} of version {api.version}: Kafka 2.3 or later has them")


def ask(
    connection: AIOKafkaConnection,
    api: Api,
    body: bytes,
    answered: Callable[[bytes], None],
    failed: Callable[[BaseException], None],
) -> None:
    """Sends a request whose bytes are known.

    Args:
        answered: given the answer's frame, correlation ID included, in the step in which it arrives. Where it raises
            the frame cannot be read: the connection ends, and ``failed`` is called.
        failed: given the error where the connection ends before.

    Raises:
        KafkaConnectionError: the connection has ended already; ``failed`` is not called.
    """
    correlation_id = connection._next_correlation_id()
    client_id = connection._client_id.encode()
    size = _HEADER.size - _SIZE_BYTES + len(client_id) + len(body)
    head = _HEADER.pack(size, *api, correlation_id, len(client_id))
    try:
        connection._writer.write(b"".join((head, client_id, body)))
    except (AttributeError, OSError, RuntimeError) as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"the connection has ended: {type(error).__name__}") from None
    connection._requests.append((correlation_id, None, _Expected(answered, failed)))


def _give(connection: AIOKafkaConnection, frame: bytes) -> None:
    expected = connection._requests[0][2]
    if type(expected) is not _Expected:
        connection._handle_frame(frame)
        return
    correlation_id, _, _ = connection._requests.popleft()
    connection._last_action = time.monotonic()
    try:
        if int.from_bytes(frame[:_CORRELATION_BYTES], "big", signed=True) != correlation_id:
            raise CorrelationIdError("an answer to another request")
        expected.answered(frame)
    except Exception as error:
        expected.set_exception(error)
        raise


class _Reading(asyncio.Protocol):
    """Takes the place of aiokafka's protocol, which goes on to serve those who write, or wait for the end."""

    def __init__(self, connection: AIOKafkaConnection) -> None:
        self._connection = connection
        self._first: Any = connection._protocol
        self._frames = Frames()

    def data_received(self, data: bytes) -> None:
        connection = self._connection
        try:
            for frame in self._frames.feed(data):
                # An answer may have closed it.
                if connection._reader is not None:
                    _give(connection, frame)
        except Exception as error:
            log.error("a broker's answer cannot be read", error=type(error).__name__)
            connection.close(reason=CloseReason.OUT_OF_SYNC, exc=error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._first.connection_lost(exc)
        self._connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=exc)

    def pause_writing(self) -> None:
        self._first.pause_writing()

    def resume_writing(self) -> None:
        self._first.resume_writing()


def _read(connection: AIOKafkaConnection) -> asyncio.Future[None]:
    """In place of `AIOKafkaConnection._create_reader_task`: what `AIOKafkaConnection.close` may cancel."""
    connection._writer.transport.set_protocol(_Reading(connection))
    found: asyncio.Future[None] = connection._loop.create_future()
    return found


def read_in_place() -> None:
    """From now on this process's Kafka clients read so."""
    AIOKafkaConnection._create_reader_task = _read
