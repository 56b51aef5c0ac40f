"""Requests that a proxy and a server could read differently (RFC 9112, section 11.2), and what may come of each.

`SECOND` stands behind each: where one reader takes it for a request that another took for a body, it was smuggled.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import h11

SECOND = b"GET /second HTTP/1.1\r\nhost: x\r\n\r\n"
GET = b"GET /first HTTP/1.1\r\n"
POST = b"POST /first HTTP/1.1\r\n"
HOST = b"host: x\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
LENGTH = b"content-length: 0\r\n"
END = b"0\r\n\r\n"


class Reading(Enum):
    """Who may hear of the second request."""

    REFUSED = "nobody: the first is refused, and the connection ends"
    ONE = "nobody: it is the first one's body, or comes after the end"
    TWO = "everybody: both are in order"


@dataclass(frozen=True, slots=True)
class Case:
    """What comes before the second request."""

    first: bytes
    reading: Reading = Reading.REFUSED


def _chunked(body: bytes, reading: Reading = Reading.REFUSED) -> Case:
    return Case(POST + HOST + CHUNKED + b"\r\n" + body, reading)


def _lengths(*lines: bytes, body: bytes = b"") -> Case:
    return Case(POST + HOST + b"".join(b"content-length:" + line + b"\r\n" for line in lines) + b"\r\n" + body)


def _coding(line: bytes, reading: Reading = Reading.REFUSED, *, version: bytes = b"1.1") -> Case:
    return Case(b"POST /first HTTP/" + version + b"\r\n" + HOST + line + b"\r\n\r\n" + END, reading)


def _line(line: bytes, reading: Reading = Reading.REFUSED) -> Case:
    return Case(GET + HOST + line + b"\r\n\r\n", reading)


def _target(target: bytes, reading: Reading = Reading.REFUSED) -> Case:
    return Case(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", reading)


CASES: dict[str, Case] = {
    # A length and a coding.
    "CL.TE": Case(POST + HOST + b"content-length: 4\r\n" + CHUNKED + b"\r\n" + END),
    "TE.CL": Case(POST + HOST + CHUNKED + b"content-length: 4\r\n\r\n" + END),
    # Lengths.
    "two lengths that agree": _lengths(b" 1", b" 1", body=b"x"),
    "two lengths": _lengths(b" 0", b" %d" % len(SECOND)),
    "a list of lengths": _lengths(b" 1, 1", body=b"x"),
    "a plus": _lengths(b" +0"),
    "a minus": _lengths(b" -1"),
    "hexadecimal": _lengths(b" 0x10"),
    "a space in a length": _lengths(b" 1 0"),
    "an underscore": _lengths(b" 1_0"),
    "no number": _lengths(b" "),
    "larger than 64 bits": _lengths(b" 18446744073709551616"),
    "a space before the colon": Case(POST + HOST + b"content-length : 0\r\n\r\n"),
    # Codings.
    "xchunked": _coding(b"transfer-encoding: xchunked"),
    "identity": _coding(b"transfer-encoding: identity"),
    "chunked is not last": _coding(b"transfer-encoding: chunked, identity"),
    "gzip before chunked": _coding(b"transfer-encoding: gzip, chunked"),
    "two coding lines": _coding(b"transfer-encoding: chunked\r\ntransfer-encoding: identity"),
    "chunked twice": _coding(b"transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
    "a vertical tab": _coding(b"transfer-encoding: \x0bchunked"),
    "in quotes": _coding(b'transfer-encoding: "chunked"'),
    "a coding in HTTP/1.0": _coding(b"connection: keep-alive\r\ntransfer-encoding: chunked", version=b"1.0"),
    "a tab": _coding(b"transfer-encoding:\tchunked", Reading.TWO),
    "capitals": _coding(b"Transfer-Encoding: CHUNKED", Reading.TWO),
    # Chunks.
    "an extension": _chunked(b"1;a=b\r\nx\r\n" + END, Reading.TWO),
    "an extension with a line feed": _chunked(b"1;a=\nb\r\nx\r\n" + END),
    "bare line feeds": _chunked(b"1\nx\n0\n\n"),
    "0x1": _chunked(b"0x1\r\nx\r\n" + END),
    "-1": _chunked(b"-1\r\nx\r\n" + END),
    "20 digits": _chunked(b"f" * 20 + b"\r\nx\r\n" + END),
    "2^64": _chunked(b"1" + b"0" * 16 + b"\r\n"),
    "more than the chunk says": _chunked(b"1\r\nxyz\r\n" + END),
    "a space behind the size": _chunked(b"1 \r\nx\r\n" + END),
    "a length in the trailer": _chunked(b"0\r\ncontent-length: 34\r\n\r\n"),
    "a trailer": _chunked(b"0\r\nauthorization: Bearer x\r\n\r\n", Reading.TWO),
    # Lines.
    "a folded line": _line(b"x: a\r\n b"),
    "a folded coding": _coding(b"transfer-encoding:\r\n chunked"),
    "a fold before all headers": Case(GET + b" " + HOST + b"\r\n"),
    "lines that end in a line feed": Case((GET + HOST).replace(b"\r", b"") + b"\n"),
    "a line feed in a header": _line(b"x: a\ncontent-length: 34"),
    "a carriage return in a header": _line(b"x: a\rcontent-length: 34"),
    "a NUL in a value": _line(b"x: a\0b"),
    "a NUL in a name": _line(b"x\0: b"),
    "a space in a name": _line(b"x y: b"),
    "no name": _line(b": b"),
    # Hosts, versions, offers.
    "no host": Case(GET + b"\r\n"),
    "two hosts": _line(b"host: y"),
    "HTTP/0.9": Case(b"GET /first\r\n\r\n"),
    "HTTP/1.2": Case(b"GET /first HTTP/1.2\r\n" + HOST + b"\r\n"),
    "HTTP/2": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a tunnel": Case(b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "HTTP/2 is offered": _line(
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA", Reading.TWO
    ),
    "a WebSocket is asked for": _line(b"connection: upgrade\r\nupgrade: websocket", Reading.TWO),
    # Targets.
    "a NUL in the target": _target(b"/\0"),
    "a space in the target": _target(b"/a b"),
    "bytes in the target": _target(b"/\xff\xfe"),
    "a carriage return in the target": _target(b"/a\rb"),
    "an absolute target": _target(b"http://x/first", Reading.TWO),
    "escapes that are none": _target(b"/%00%ff/%zz", Reading.TWO),
    # In order, and the end.
    "a body of a GET": Case(GET + HOST + b"content-length: %d\r\n\r\n" % len(SECOND), Reading.ONE),
    "after the last": Case(GET + HOST + b"connection: close\r\n\r\n", Reading.ONE),
    "empty lines before": Case(b"\r\n\r\n" + POST + HOST + LENGTH + b"\r\n", Reading.TWO),
    "100-continue": Case(POST + HOST + b"expect: 100-continue\r\n" + LENGTH + b"\r\n", Reading.TWO),
}
_PIECES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"0",
    b"1",
    b"chunked",
    LENGTH,
    CHUNKED,
    HOST,
    END,
)


def changed(chance: random.Random) -> bytes:
    """One of the cases with the second request, changed here and there."""
    data = bytearray(chance.choice(list(CASES.values())).first + SECOND)
    for _ in range(chance.randint(1, 3)):
        at, piece = chance.randrange(len(data)), chance.choice(_PIECES)
        data[at : at + chance.choice((0, 1, 1, len(piece)))] = piece
    return bytes(data)


def cases_and_changes(seed: int, count: int) -> Iterator[bytes]:
    """All cases with the second request, and so many changed ones."""
    yield from (case.first + SECOND for case in CASES.values())
    chance = random.Random(seed)
    yield from (changed(chance) for _ in range(count))


def as_h11_reads(data: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """Method, target and body of each request, as another reader has them; None where it refuses one of them."""
    connection, found = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536), []
    connection.receive_data(data)
    head: h11.Request | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head:
                found.append((bytes(head.method), bytes(head.target), body))
                connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return found
                connection.start_next_cycle()
            else:
                return found
    except h11.RemoteProtocolError:
        return None
    except h11.LocalProtocolError:
        # A tunnel, or another protocol: nothing more is a request.
        return found
