"""How AWS frames the events of a stream; botocore cuts them. Sans-I/O.

Source: "Amazon event stream".
"""

from botocore.eventstream import EventStreamBuffer, ParserError

from libs.chat.providers.protocol import EVENT_BYTES, ProtocolError


class EventStream:
    """Cuts ``application/vnd.amazon.eventstream`` into events: each the union that the reference gives, as JSON."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._waiting = 0
        """Bytes since the last event that was whole."""

    def feed(self, data: bytes) -> list[str]:
        """See `libs.chat.providers.protocol.Framing`."""
        self._waiting += len(data)
        self._buffer.add_data(data)
        found: list[str] = []
        try:
            for message in self._buffer:
                kind = message.headers.get(":event-type") or message.headers.get(":exception-type") or "error"
                found.append(f'{{"{kind}":{message.payload.decode() or "{}"}}}')
                self._waiting = 0
        except (ParserError, UnicodeDecodeError):
            raise ProtocolError("the stream is damaged") from None
        if self._waiting > EVENT_BYTES:
            raise ProtocolError("an event is larger than 8 MiB")
        return found
