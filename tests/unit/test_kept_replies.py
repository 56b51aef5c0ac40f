"""What an answer that is kept shows of itself on the log: nothing, but to who sent its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import topics
from contracts.quantities import Quantity, Unit
from contracts.record import Lasting, Refusal, ReplyAddress
from contracts.replies import Outcome, ReplyChunk, ReplyEnded, refused
from contracts.usage import TokenUsage
from libs.sealing.hybrid import SealError
from libs.sealing.kept import SEAL_BYTES, ClientKey
from libs.sealing.replies import open_reply, seal_chunk, seal_ended
from services.relay.core.ending import Ending, attempt_ended
from tests.unit.records import NOW_MS, route

NO = Refusal(status=502, message="no")
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
KEY = ClientKey.derive("sk-1", "acct:a", "order-1")
OTHERS = [ClientKey.derive(*given) for given in (("sk-2", "acct:a", "order-1"), ("sk-1", "org:a", "order-1"))]
ADDRESS = ReplyAddress(partition=3, ingress_id="ingress-1", lasting=Lasting.KEPT)


def _chunk(content: bytes, at: int = 0) -> ReplyChunk:
    return ReplyChunk(request_id=ID, reply_to=ADDRESS, at=at, content=content)


def _ended(body: str | None, tail: str | None) -> ReplyEnded:
    return ReplyEnded(request_id=ID, reply_to=ADDRESS, outcome=Outcome.COMPLETED, body=body, tail=tail)


@given(st.binary(max_size=2_000), st.integers(0, 2**40))
def test_a_chunk_opens_where_it_lies_and_nowhere_else(content: bytes, at: int) -> None:
    chunk = _chunk(content, at)
    sealed = seal_chunk(chunk, KEY.seal)
    assert len(sealed.content) == len(content) + SEAL_BYTES
    assert content not in sealed.content or len(content) < 4
    assert open_reply(sealed, KEY.seal) == chunk
    for other in OTHERS:
        with pytest.raises(SealError):
            open_reply(sealed, other.seal)
    with pytest.raises(SealError):
        open_reply(sealed.model_copy(update={"at": at + 1}), KEY.seal)


@given(st.none() | st.text(), st.none() | st.text())
def test_an_end_opens_as_it_was(body: str | None, tail: str | None) -> None:
    ended = _ended(body, tail)
    sealed = seal_ended(ended, KEY.seal)
    assert (sealed.body, sealed.tail) == (None, None)
    assert open_reply(ReplyEnded.decode(sealed.encode(), ID), KEY.seal) == ended
    if body or tail:
        with pytest.raises(SealError):
            open_reply(sealed, OTHERS[0].seal)


def test_the_same_is_sealed_otherwise_each_time() -> None:
    assert seal_chunk(_chunk(b"a"), KEY.seal) != seal_chunk(_chunk(b"a"), KEY.seal)
    assert len({one.locator for one in (KEY, *OTHERS)}) == 3
    assert "sk-1" not in repr(KEY)
    assert KEY.seal.hex() not in repr(KEY)


def test_where_bodies_are_parted_counts() -> None:
    assert KEY.fingerprint(b"ab", b"c") != KEY.fingerprint(b"a", b"bc")
    assert KEY.fingerprint(b"ab") == KEY.fingerprint(b"ab")
    assert KEY.fingerprint(b"ab") != OTHERS[0].fingerprint(b"ab")


def test_a_kept_answer_has_a_topic_of_its_own() -> None:
    assert topics.replies_of(ADDRESS) is topics.KEPT_REPLIES
    assert topics.replies_of(ReplyAddress(partition=3, ingress_id="ingress-1")) is topics.REPLIES
    assert ReplyAddress.decode(ADDRESS.encode()) == ADDRESS


@pytest.mark.parametrize(
    ("ending", "free"),
    [
        (Ending(Outcome.REJECTED, 429, NO, attempts=0), True),
        (Ending(Outcome.FAILED, 502, NO), True),
        (Ending(Outcome.CANCELLED, 499, attempts=0), True),
        (Ending(Outcome.COMPLETED), False),
        (Ending(Outcome.INTERRUPTED, 502, NO, tokens=TokenUsage(input_tokens=3)), False),
        (Ending(Outcome.FAILED, 502, NO, tail="event: error", size=100), False),
        (Ending(Outcome.CANCELLED, 499, quantities=[Quantity(unit=Unit.IMAGE, amount=1)]), False),
    ],
)
def test_an_end_that_cost_nothing_frees_its_key(ending: Ending, free: bool) -> None:
    assert attempt_ended(route(), ending, NOW_MS).reply.unbilled is free


def test_what_the_gateway_refuses_by_itself_cost_nothing() -> None:
    assert refused(ID, ADDRESS, NO).unbilled
