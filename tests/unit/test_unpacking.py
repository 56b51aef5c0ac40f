"""Answers in a content coding: the same wherever they are cut, and never large at once."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.chat.providers.sse import ServerSentEvents
from libs.runtime.unpacking import PIECE_BYTES, Unpacking, UnpackingError
from services.relay.upstream import ANSWER_BYTES, Response, UpstreamError, read_answer, read_events
from tests.unit.streams import Pieces

BOMB = gzip.compress(bytes(96 * 1024 * 1024))
"""As much as one read of the socket can bring."""


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "DEFLATE": _raw,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("coding", PACK)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 400)))
def test_an_answer_is_the_same_wherever_it_is_cut(coding: str, data: bytes, cuts: list[int]) -> None:
    packed, unpacking = PACK[coding](data), Unpacking(coding)
    places = sorted({0, len(packed), *(cut % (len(packed) + 1) for cut in cuts)})
    found = b"".join(piece for begin, end in pairwise(places) for piece in unpacking.feed(packed[begin:end]))
    assert found == data


@given(st.sampled_from(["gzip", "deflate"]), st.lists(st.binary(max_size=50)))
def test_whatever_comes_is_unpacked_or_refused(coding: str, pieces: list[bytes]) -> None:
    unpacking = Unpacking(coding)
    try:
        for data in pieces:
            assert all(0 < len(piece) <= PIECE_BYTES for piece in unpacking.feed(data))
    except UnpackingError:
        pass


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    with pytest.raises(UnpackingError):
        Unpacking(coding)


def _answer(content: bytes, coding: str = "gzip") -> Response:
    return Response(200, {"content-encoding": coding}, Pieces([content]))


async def test_a_bomb_is_an_error_and_never_in_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamError):
            await read_answer("p", _answer(BOMB))
        with pytest.raises(UpstreamError):
            async for _ in read_events("p", _answer(BOMB), ServerSentEvents()):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2.5 * ANSWER_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "coding"),
    [(b"no gzip", "gzip"), (b"\x0b\x02\x80", "br"), (BOMB[:10] + b"\xff" * 8, "gzip")],
    ids=["no header", "another coding", "a header alone"],
)
async def test_what_does_not_unpack_is_the_provider_s_failure(content: bytes, coding: str) -> None:
    with pytest.raises(UpstreamError):
        await read_answer("p", _answer(content, coding))
