"""A broker's answers are read where they arrive, without a task that waits for them.

aiokafka reads through a StreamReader: each answer wakes a task twice, for its size and for itself, in two turns of the
event loop. Here the transport's own call cuts the bytes and gives each answer to whoever waits for it.
"""

import asyncio
from typing import Any

import structlog
from aiokafka.conn import AIOKafkaConnection, CloseReason

log = structlog.get_logger()

MOST_BYTES = 128 * 1024 * 1024
"""Of one answer. The largest is that of a fetch: `BusSettings.fetching`."""
_SIZE_BYTES = 4


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
                    connection._handle_frame(frame)
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
