"""The content codings of HTTP, undone a piece at a time: what is small when it comes is not large at once. Sans-I/O.

Source: RFC 9110, section 8.4.1.
"""

import zlib
from collections.abc import Iterable, Iterator

PIECE_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


class UnpackingError(ValueError):
    """The bytes are not of the coding, or the coding is none of ours."""


class Unpacking:
    """Of one body. httpx gives what a piece unpacks to in one: 96 KiB may be 96 MiB."""

    def __init__(self, coding: str) -> None:
        """
        Args:
            coding: the header ``Content-Encoding``; empty where there is none.

        Raises:
            UnpackingError: a coding that was not asked for.
        """
        self._coding = coding.strip().lower()
        if self._coding not in {"", "identity", *_WINDOWS}:
            raise UnpackingError("the answer is in a content coding that was not asked for")
        self._head = b""
        self._unpacker: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterable[bytes]:
        """What a piece brings, `PIECE_BYTES` at the most at a time; raises UnpackingError while it is read."""
        return self._unpacked(data) if self._coding in _WINDOWS else (data,)

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._unpacker is None:
            self._head += data
            if len(self._head) < 2:
                return
            data, self._unpacker = self._head, zlib.decompressobj(self._window())
        while not self._unpacker.eof:
            try:
                piece = self._unpacker.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise UnpackingError("the answer is not in its content coding") from error
            data = self._unpacker.unconsumed_tail
            if piece:
                yield piece
            elif not data:
                return

    def _window(self) -> int:
        # Some servers send "deflate" without zlib's head (RFC 9110, section 8.4.1.2), which RFC 1950 makes known.
        headless = self._head[0] & 15 != 8 or int.from_bytes(self._head[:2], "big") % 31
        return -zlib.MAX_WBITS if self._coding == "deflate" and headless else _WINDOWS[self._coding]
