"""The IDs of events: whatever is cut off, what comes after the last ID is the rest."""

import re
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.chat.event_ids import numbered
from services.ingress.core.stream_ids import StreamId
from tests.unit.records import request_id

TEXT = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=40)
EVENT = TEXT.map(lambda text: f"data: {text}\n\n")


@given(st.lists(st.lists(EVENT, min_size=1, max_size=3).map("".join), max_size=8), st.integers(0, 100_000))
def test_an_event_s_id_is_where_it_ends(writes: list[str], at: int) -> None:
    whole = b""
    for write in writes:
        whole += numbered(write, at + len(whole))
    ends = [at + match.end() for match in re.finditer(rb"\n\n", whole)]
    assert [int(found) for found in re.findall(rb"^id: (\d+)\ndata: ", whole, re.MULTILINE)] == ends
    assert re.sub(rb"^id: \d+\n(?=data: )", b"", whole, flags=re.MULTILINE).decode() == "".join(writes)
    # A client that is cut off anywhere has whole events up to an ID, and is given what comes after it.
    for cut in range(len(whole)):
        had = whole[:cut].rpartition(b"\n\n")[0]
        last = int(re.findall(rb"^id: (\d+)\ndata: ", had, re.MULTILINE)[-1]) if had else at
        assert (had + b"\n\n" if had else b"") + whole[last - at :] == whole


@pytest.mark.parametrize("at", [0, 1, 85, 91, 92, 93, 980, 991, 9_980, 99_999, 10**9])
def test_the_id_counts_its_own_line(at: int) -> None:
    event = numbered("data: a\n\n", at)
    assert event == b"id: %d\ndata: a\n\n" % (at + len(event))


@given(st.integers(0, 2**15 - 1), st.integers(0, 2**63), st.integers(0, 9), st.booleans())
def test_stream_ids_survive_their_form(partition: int, offset: int, number: int, kept: bool) -> None:
    found = StreamId(partition, offset, request_id(number), kept)
    assert StreamId.decode(found.encode()) == found


@given(st.binary(min_size=26, max_size=26))
def test_a_stream_s_id_names_a_request(raw: bytes) -> None:
    text = "stream_" + urlsafe_b64encode(raw).rstrip(b"=").decode()
    found = StreamId.decode(text)
    assert found is None or found.request_id[14] == "7"


@given(st.text(max_size=60) | st.from_regex(r"\Astream_[A-Za-z0-9_=-]{30,40}\Z"))
def test_what_is_no_stream_s_id_is_none(text: str) -> None:
    found = StreamId.decode(text)
    assert found is None or found.encode() == text
