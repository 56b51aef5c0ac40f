"""What is known of a response that is made in the background, and what of its stream is wanted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from contracts.record import Refusal, ReplyAddress
from contracts.replies import Outcome, ReplyChunk, ReplyEnded
from contracts.responses import ResponseBegun, ResponseDeleted, ResponseStored
from libs.chat.event_ids import numbered
from services.ingress.core.background import After, Progress, after_of, in_the_foreground, wanted
from services.ingress.core.errors import BadRequest
from services.ingress.core.stored import StoredIndex

REQUEST = "01890000-0000-7000-8000-000000000001"
ADDRESS = ReplyAddress(partition=0, ingress_id="i")
BEGUN = ResponseBegun(
    locator="0" * 32,
    owner="acct:a",
    request_id=REQUEST,
    partition=0,
    offset=7,
    model="m",
    begun_at_ms=5_000,
    expires_at_ms=9_000,
)


def _events(count: int) -> list[bytes]:
    events, size = [], 0
    for number in range(count):
        text = f'event: response.x\ndata: {{"type":"response.x","sequence_number":{number}}}\n\n'
        events.append(numbered(text, size))
        size += len(events[-1])
    return events


@given(count=some.integers(0, 12), after=some.none() | some.integers(0, 14), cuts=some.sets(some.integers(0, 12)))
def test_what_comes_after_an_event_is_there_however_it_is_written(
    count: int, after: int | None, cuts: set[int]
) -> None:
    events, following = _events(count), After(after)
    edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
    got = b"".join(following.take(b"".join(events[a:b])) for a, b in pairwise(edges))
    assert got == b"".join(events[0 if after is None else after + 1 :])


@pytest.mark.parametrize("wrong", ["-1", "x", "1.5", "", "1" * 40])
def test_only_numbers_name_events(wrong: str) -> None:
    with pytest.raises(BadRequest):
        after_of({"starting_after": wrong})


def _chunk(text: str, at: int = 0) -> ReplyChunk:
    return ReplyChunk(request_id=REQUEST, reply_to=ADDRESS, at=at, content=text.encode())


def _ended(outcome: Outcome, refusal: Refusal | None = None, tail: str | None = None) -> ReplyEnded:
    return ReplyEnded(request_id=REQUEST, reply_to=ADDRESS, outcome=outcome, refusal=refusal, tail=tail)


CREATED = 'data: {"type":"response.created","response":{"id":"r","status":"in_progress","instructions":"be brief"}}\n\n'
DONE = 'data: {"type":"response.output_item.done","item":{"id":"one"}}\n\n'
COMPLETED = 'data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[1]}}\n\n'


def test_a_response_is_queued_in_progress_and_then_as_it_ended() -> None:
    progress = Progress(BEGUN, "resp")
    assert (progress.show()["status"], progress.show()["created_at"]) == ("queued", 5)
    progress.chunk(_chunk(CREATED + DONE))
    progress.chunk(_chunk(CREATED))
    seen = progress.show()
    assert (seen["id"], seen["status"], seen["output"]) == ("resp", "in_progress", [{"id": "one"}])
    assert seen["instructions"] == "be brief"
    progress.end(_ended(Outcome.COMPLETED, tail=COMPLETED))
    assert (progress.show()["id"], progress.show()["status"], progress.show()["output"]) == ("resp", "completed", [1])


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.CANCELLED, 499, None),
        (Outcome.REJECTED, 429, "rate_limit_exceeded"),
        (Outcome.FAILED, 502, "server_error"),
    ],
)
def test_what_did_not_end_well_says_so(outcome: Outcome, status: int, code: str | None) -> None:
    progress = Progress(BEGUN, "resp")
    progress.end(_ended(outcome, Refusal(status=status, message="why")))
    seen = progress.show()
    assert seen["status"] == ("cancelled" if code is None else "failed")
    assert seen["error"] == (code and {"code": code, "message": "why"})


def test_a_request_in_the_background_is_a_stream_that_is_stored() -> None:
    assert in_the_foreground({"model": "m", "background": True}) == {"model": "m", "store": True, "stream": True}
    assert not wanted({"background": False, "store": False})
    for wrong in ({"background": 1}, {"background": True, "store": False}):
        with pytest.raises(BadRequest):
            wanted(wrong)


def test_a_response_that_has_begun_is_its_owner_s_until_it_is_deleted_or_old() -> None:
    index = StoredIndex(most=2, most_bytes=100)
    index.apply(BEGUN)
    assert index.begun("acct:a", BEGUN.locator, 8_999) is BEGUN
    assert index.begun("acct:b", BEGUN.locator, 8_999) is None
    assert index.begun("acct:a", BEGUN.locator, 9_000) is None
    stored = ResponseStored(
        locator=BEGUN.locator, owner="acct:a", partition=1, offset=2, sealed_bytes=3, expires_at_ms=10_000
    )
    index.apply(stored)
    assert index.begun("acct:a", BEGUN.locator, 0) is BEGUN
    assert index.find("acct:a", BEGUN.locator, 0)
    index.apply(ResponseDeleted(locator=BEGUN.locator, owner="acct:a"))
    assert (index.begun("acct:a", BEGUN.locator, 0), index.find("acct:a", BEGUN.locator, 0)) == (None, None)
    for number in range(3):
        index.apply(BEGUN.model_copy(update={"locator": f"{number:032x}"}))
    assert index.begun("acct:a", f"{0:032x}", 0) is None
    index.expire(9_000)
    assert index._owners == {}
