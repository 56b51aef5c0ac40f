"""Forms with files as they come, piece by piece: for files that are not to be in memory whole. Sans-I/O.

What `libs.endpoints.multipart` is for a body that is there.
"""

from collections.abc import Iterator
from enum import Enum

from libs.endpoints.multipart import MOST_HEADER_BYTES, MOST_PARTS, FormError, Part, boundary_of, head_of


class _State(Enum):
    BEFORE = "before a boundary"
    AFTER = "after a boundary"
    HEADERS = "headers"
    CONTENT = "content"
    ENDED = "ended"


class FormReader:
    """Takes a body in pieces. Gives each part once by its headers, then its content in pieces."""

    def __init__(self, content_type: str) -> None:
        """
        Raises:
            FormError: the type has no boundary.
        """
        self._delimiter = b"\r\n--" + boundary_of(content_type).encode("latin-1")
        # The first boundary need not follow a line.
        self._buffer = bytearray(b"\r\n")
        self._state = _State.BEFORE
        self._parts = 0

    def feed(self, piece: bytes) -> Iterator[Part | bytes]:
        """What can be said with this piece.

        Raises:
            FormError: it is no form, or one of more parts or longer headers than any needs.
        """
        self._buffer += piece
        while True:
            if self._state in (_State.BEFORE, _State.CONTENT):
                at = self._buffer.find(self._delimiter)
                # Its end may be the beginning of a boundary.
                sure = at if at >= 0 else max(0, len(self._buffer) - len(self._delimiter) + 1)
                content = bytes(self._buffer[:sure])
                del self._buffer[: sure + len(self._delimiter) if at >= 0 else sure]
                if content and self._state is _State.CONTENT:
                    yield content
                if at < 0:
                    return
                self._state = _State.AFTER
            elif self._state is _State.AFTER:
                if len(self._buffer) < 2:
                    return
                self._state = _State.ENDED if self._buffer.startswith(b"--") else _State.HEADERS
            elif self._state is _State.HEADERS:
                head = self._headers()
                if head is None:
                    return
                self._state = _State.CONTENT
                yield head
            else:
                self._buffer.clear()
                return

    def end(self) -> None:
        """Raises FormError where the body ended before the form did."""
        if self._state is not _State.ENDED:
            raise FormError("The form is not whole: its last boundary is missing.")

    def _headers(self) -> Part | None:
        blank = self._buffer.find(b"\r\n\r\n")
        if blank > MOST_HEADER_BYTES or (blank < 0 and len(self._buffer) > MOST_HEADER_BYTES):
            raise FormError("A part of the form has no headers, or too long ones.")
        if blank < 0:
            return None
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise FormError(f"The form has more than {MOST_PARTS} parts.")
        head = bytes(self._buffer[:blank])
        del self._buffer[: blank + len(b"\r\n\r\n")]
        return head_of(head)
