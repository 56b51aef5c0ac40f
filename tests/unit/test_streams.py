"""Recorded streams through the relay's reader: every surface, every protocol, every way of being cut."""

import secrets
import struct
import zlib
from collections.abc import Iterator
from itertools import repeat

import pytest

from contracts.requests import Surface
from deploy.local.stub.answers import StubRequest, answer_to
from libs.chat.providers.protocol import EVENT_BYTES
from libs.config.providers import ProtocolName
from services.relay.upstream import UpstreamError
from tests.unit.streams import BODIES, STUBS, exchange_of, relay

SSE: tuple[ProtocolName, ...] = ("openai-chat", "openai-responses", "anthropic-messages", "gemini")
FRAMES = {
    "retry first": lambda data: b"retry: 3000\n\n" + data,
    "keepalive": lambda data: data.replace(b"\n\n", b"\n\nevent: keepalive\n\n"),
    "comment after an ID": lambda data: data.replace(b"data: ", b"id: 7\ndata: ").replace(b"\n\n", b"\n\n: ping\n\n"),
    "byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "CR": lambda data: data.replace(b"\n", b"\r"),
}


def recorded(protocol: ProtocolName, prompt: str = "[[stub chunks=4 tool=2 think=1 cache=3]] hé") -> bytes:
    """A stream as the stub writes it."""
    stub = STUBS[protocol]
    answer = answer_to(StubRequest({}, "up", prompt, 9, None, True, {"weather": {}}), stub.call_prefix)
    words = [stub.word(answer, number) for number in range(len(answer.words))]
    return b"".join([*stub.opening(answer), *words, *stub.closing(answer)])


@pytest.fixture(autouse=True)
def same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """IDs that are made anew for each answer are the same here, so that answers can be compared."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0" * 2 * size)


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("protocol", SSE)
@pytest.mark.parametrize("form", FRAMES)
async def test_what_frames_a_stream_does_not_change_it(form: str, protocol: ProtocolName, surface: Surface) -> None:
    data = recorded(protocol)
    expected = await relay(exchange_of(surface, protocol), [data])
    assert await relay(exchange_of(surface, protocol), [FRAMES[form](data)]) == expected
    assert expected


@pytest.mark.parametrize("protocol", STUBS)
async def test_a_stream_is_the_same_cut_at_every_byte(protocol: ProtocolName) -> None:
    data = recorded(protocol)
    for surface in BODIES:
        expected = await relay(exchange_of(surface, protocol), [data])
        cut = await relay(exchange_of(surface, protocol), [data[at : at + 1] for at in range(len(data))])
        assert cut == expected
        for at in range(0, len(data), 7):
            assert await relay(exchange_of(surface, protocol), [data[:at], data[at:]]) == expected


def _endless(opening: bytes, size: int, taken: list[int]) -> Iterator[bytes]:
    """A stream that begins with these bytes and brings no end of an event."""
    for piece in (opening, *repeat(bytes(1024 * 1024), size)):
        taken.append(len(piece))
        yield piece


FRAME_OF_20_MIB = struct.pack(">II", 20 * 1024 * 1024, 0)


@pytest.mark.parametrize(
    ("protocol", "opening"),
    [("openai-chat", b"data: "), ("openai-chat", b""), ("bedrock-converse", FRAME_OF_20_MIB)],
    ids=["data", "no field", "an event-stream frame"],
)
async def test_an_event_of_200_mb_ends_the_answer_before_it_is_in_memory(
    protocol: ProtocolName, opening: bytes
) -> None:
    if protocol == "bedrock-converse":
        opening += struct.pack(">I", zlib.crc32(opening))
    taken: list[int] = []
    with pytest.raises(UpstreamError) as raised:
        await relay(exchange_of(Surface.CHAT_COMPLETIONS, protocol), _endless(opening, 200, taken))
    assert raised.value.refusal.status == 502
    assert sum(taken) <= EVENT_BYTES + 2 * 1024 * 1024
