"""Frames are cut where their sizes say, however their bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.frames import MOST_BYTES, Frames


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 60)))
def test_frames_are_whole_however_their_bytes_come(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(one).to_bytes(4, "big") + one for one in sent)
    frames, found = Frames(), []
    for cut in cuts:
        found += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert found + frames.feed(stream) == sent
    # Nothing is left over.
    assert frames.feed(b"\0\0\0\0") == [b""]


@pytest.mark.parametrize("size", [-1, -(2**31), MOST_BYTES + 1, 2**31 - 1])
def test_what_cannot_be_a_size_is_none(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        Frames().feed(size.to_bytes(4, "big", signed=True))
