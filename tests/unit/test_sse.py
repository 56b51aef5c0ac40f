"""Server-sent events: what a browser dispatches is what the relay reads, wherever the bytes are cut."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.chat.providers.protocol import EVENT_BYTES, ProtocolError
from libs.chat.providers.sse import ServerSentEvents

MIB = bytes(1024 * 1024)
RECORDED = (
    "\ufeff: connected\r\n\r\n"
    "retry: 3000\r\n\r\n"
    "event: keepalive\r\n\r\n"
    'id: 1\r\ndata: {"text":"hé 😀"}\r\n\r\n'
    "id: 2\r\n: a comment after an ID\r\n\r\n"
    "data\r\n\r\n"
    "data:\r\n\r\n"
    'event: chunk\rdata:{"a":\rdata: 1}\r\r'
    "data: one\n: between\ndata:  two\n\n"
    "unknown: field\ndata: three\n\n"
    "data: [DONE]\n\n"
    "data: never dispatched\n"
).encode()
EVENTS = ['{"text":"hé 😀"}', '{"a":\n1}', "one\n two", "three", "[DONE]"]


def _read(pieces: Iterable[bytes]) -> list[str]:
    stream = ServerSentEvents()
    return [event for piece in pieces for event in stream.feed(piece)]


def test_frames_without_data_are_not_events() -> None:
    assert _read([RECORDED]) == EVENTS


def test_a_recorded_stream_is_the_same_cut_at_every_byte() -> None:
    assert _read(RECORDED[at : at + 1] for at in range(len(RECORDED))) == EVENTS
    for at in range(len(RECORDED)):
        assert _read([RECORDED[:at], b"", RECORDED[at:]]) == EVENTS, at


fields = st.sampled_from(["data: ", "data:", "data", "event: ", "id: ", "retry: ", ": ", "\ufeffdata: ", ""])
line = st.builds(lambda field, text: field + text, fields, st.text("a:é😀 ", max_size=4))
ends = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(st.tuples(line, ends) | st.tuples(st.just(""), ends), max_size=20), st.lists(st.integers(0, 200)))
def test_events_do_not_depend_on_the_cuts(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    data = "".join(text + end for text, end in lines).encode()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    found = _read(data[begin:end] for begin, end in pairwise(places))
    assert found == _read([data])
    assert found == _read(_after_empty_lines(data))
    assert found == _dispatched(data.decode())


@pytest.mark.parametrize(
    "pieces",
    [
        [b"x", b"data: a\n\n"],
        [b"data: a\n", b"data: b\n\n"],
        [b"data: a\r\n", b"data: b\n\n"],
        [b"data: a\rdata: b\n\n"],
        [b"data: \n\n", b"data:  \n\n", b"data: a\n\n"],
        [b"data: a\n\n", "\ufeffdata: b\n\n".encode()],
    ],
)
def test_what_looks_like_one_event_may_be_a_part_of_another(pieces: list[bytes]) -> None:
    pieces = [b"\n", *pieces]
    assert _read(pieces) == _dispatched(b"".join(pieces).decode())


def _after_empty_lines(data: bytes) -> list[bytes]:
    """Cut where events end: each a piece, as providers send them."""
    return [piece + b"\n\n" for piece in data.split(b"\n\n")[:-1]] + [data.rpartition(b"\n\n")[2]]


def _dispatched(text: str) -> list[str]:
    """The specification's algorithm, word for word, but for events whose data is blank."""
    found, buffer = [], ""
    for one in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        if not one:
            found.append(buffer.removesuffix("\n"))
            buffer = ""
        elif one.partition(":")[0] == "data":
            buffer += one.partition(":")[2].removeprefix(" ") + "\n"
    return [data for data in found if data.strip()]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert _read([b"data: a\xffb\n\n"]) == ["a\ufffdb"]


def test_a_line_without_an_end_is_refused_and_not_kept() -> None:
    stream, fed = ServerSentEvents(), 0
    with pytest.raises(ProtocolError, match="8 MiB"):
        for _ in range(200):
            stream.feed(b"data: " if not fed else MIB)
            fed += 1
    assert fed <= EVENT_BYTES // len(MIB) + 2


@pytest.mark.parametrize("line", [b"data: " + MIB[:-6] + b"\n", b"data:\n"])
def test_an_event_without_an_end_is_refused(line: bytes) -> None:
    stream = ServerSentEvents()
    with pytest.raises(ProtocolError, match="8 MiB"):
        for _ in range(EVENT_BYTES):
            stream.feed(line * (1 if len(line) > 10 else 100_000))


def test_the_largest_event_passes_however_it_comes() -> None:
    text = b"x" * (EVENT_BYTES - len(b"data: "))
    assert _read([b"data: " + text + b"\n\n"]) == _read([b"data: ", text, b"\n", b"\n"]) == [text.decode()]
    for pieces in ([b"data: x" + text + b"\n\n"], [b"data: ", b"x" + text, b"\n\n"]):
        with pytest.raises(ProtocolError):
            _read(pieces)
