"""Is it clear where a request ends, and for whom it is? What another reader before us could take otherwise is refused.

httptools refuses most of it by itself: two lengths, a length beside a transfer coding, folded lines, bare line feeds.
"""

from collections.abc import Callable
from typing import Any, Protocol

import httptools

RawHeaders = list[tuple[bytes, bytes]]
"""Names are in lower case."""
_VERSIONS = frozenset({"1.0", "1.1"})


def refusal(method: bytes, version: str, headers: RawHeaders) -> tuple[int, str] | None:
    """The status and the message for a request that is not served; None for any other.

    Source: RFC 9112, sections 2.3, 3.2, 6.1 and 6.3; RFC 9110, section 9.1.
    """
    if version not in _VERSIONS:
        return 505, "This server speaks HTTP/1.1."
    if method == b"CONNECT":
        return 501, "This server is no proxy."
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            if version == "1.0":
                return 400, "HTTP/1.0 has no transfer codings."
            if value.strip().lower() != b"chunked":
                return 501, "The only transfer coding that is read is chunked."
    if hosts > 1 or (not hosts and version == "1.1"):
        return 400, "A request has one Host header."
    return None


class Offered(Protocol):
    """What `Parser` calls, beside httptools' callbacks."""

    url: bytes
    headers: RawHeaders


class Parser:
    """httptools' parser, to which the offer to speak another protocol is nothing (RFC 9110, section 7.8).

    httptools leaves out the body behind an ``Upgrade``, and reads no further request: so Java's client, which offers
    HTTP/2 with each request, lost its bodies. A request that offers is begun again, without the offer.
    """

    def __init__(self, protocol: Offered) -> None:
        """
        Args:
            protocol: passes over the callbacks of a request while `should_upgrade`; it comes again.
        """
        self._protocol = protocol
        self._parser = self._new()

    def feed_data(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            head = self._without_offer()
            self._parser = self._new()
            self.feed_data(head + data[offer.args[0] :])

    def _new(self) -> Any:
        parser = httptools.HttpRequestParser(self._protocol)
        # As uvicorn has it: the first of several requests is answered, whatever follows.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_method: Callable[[], bytes] = parser.get_method
        self.get_http_version: Callable[[], str] = parser.get_http_version
        self.should_keep_alive: Callable[[], bool] = parser.should_keep_alive
        self.should_upgrade: Callable[[], bool] = parser.should_upgrade
        return parser

    def _without_offer(self) -> bytes:
        first = b"%s %s HTTP/%s" % (
            self.get_method(),
            self._protocol.url,
            self.get_http_version().encode(),
        )
        lines = [name + b": " + value for name, value in self._protocol.headers if name != b"upgrade"]
        return b"\r\n".join([first, *lines, b"", b""])
