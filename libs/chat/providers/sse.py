"""Server-sent events, as they are cut from a stream's bytes. Sans-I/O.

Source: the HTML standard, "Server-sent events": parsing and interpreting an event stream.
"""

from libs.chat.providers.protocol import EVENT_BYTES, ProtocolError

_BOM = "\ufeff".encode()
_DATA = b"data: "


class ServerSentEvents:
    """Reads a stream piece by piece. Event names, IDs and retry times are not for us: what matters is in the data."""

    def __init__(self) -> None:
        self._line = bytearray()
        """Of the last line, what has come."""
        self._data: list[bytes] = []
        """Of the last event, the lines of data."""
        self._size = 0
        self._first = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[str]:
        """See `libs.chat.providers.protocol.Framing`. Events whose data is blank are passed over."""
        if not data:
            return []
        if (
            data.startswith(_DATA)
            and data.endswith(b"\n\n")
            and data.find(b"\n") == len(data) - 2
            and self._is_between()
        ):
            # Most pieces are one event, of one line.
            text = data[len(_DATA) : -2]
            if b"\r" not in text and len(text) <= EVENT_BYTES:
                return [text.decode(errors="replace")] if text and not text.isspace() else []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *ended, rest = data.split(b"\n")
        found: list[str] = []
        for line in ended:
            self._grow(line)
            if event := self._end_line():
                found.append(event)
        self._grow(rest)
        return found

    def _is_between(self) -> bool:
        return not (self._line or self._data or self._first or self._after_cr)

    def _grow(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > EVENT_BYTES:
            raise ProtocolError("a line is larger than 8 MiB")
        self._line += piece

    def _end_line(self) -> str:
        """The event that this line ends; empty where it ends none."""
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            self._first, line = False, line.removeprefix(_BOM)
        if not line:
            event = b"\n".join(self._data)
            self._data, self._size = [], 0
            return "" if event.isspace() else event.decode(errors="replace")
        field, _, value = line.partition(b":")
        if field == b"data":
            self._size += len(line) + 1
            if self._size > EVENT_BYTES + 1:
                raise ProtocolError("an event is larger than 8 MiB")
            self._data.append(value.removeprefix(b" "))
        return ""
