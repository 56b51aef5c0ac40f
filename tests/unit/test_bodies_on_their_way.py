"""Bodies on their way in: bounded in bytes, in time, by owner and altogether."""

import asyncio
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive

from contracts.requests import Surface
from libs.config.gateway import Limits, Timeouts
from libs.runtime.budget import Budget
from services.ingress.body import Bodies, ClientGone
from services.ingress.core.bodies import parse
from services.ingress.core.errors import IngressError, TooLarge, TooSlow, Unauthorized, Unavailable

MIB = 1024 * 1024
LIMITS = Limits(body_bytes=MIB, anonymous_body_bytes=64 * 1024, bodies_bytes=4 * MIB)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.booleans()), max_size=60))
def test_a_budget_is_never_passed_and_gives_what_is_free(steps: list[tuple[str, int, bool]]) -> None:
    budget, held = Budget(100, 40), Counter[str]()
    for owner, size, takes in steps:
        if takes:
            fits = held.total() + size <= 100 and held[owner] + size <= 40
            assert budget.take(owner, size) == fits
            held[owner] += size if fits else 0
        else:
            given_back = min(size, held[owner])
            budget.give(owner, given_back)
            held[owner] -= given_back
        assert budget.held == held.total()


def _client(*pieces: bytes, ends: bool = True) -> Receive:
    """One that sends these pieces, and then ends its body or sends nothing any more."""
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ends:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    coming = iter(messages)

    async def receive() -> Message:
        for message in coming:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def _refused(bodies: Bodies, receive: Receive, owner: str | None, length: int | None = None) -> IngressError:
    headers = {} if length is None else {"content-length": str(length)}
    with pytest.raises(IngressError) as refused:
        await bodies.read(headers, receive, owner=owner, address="1.2.3.4")
    return refused.value


async def test_a_body_is_what_came() -> None:
    bodies = Bodies(LIMITS, lambda: LIMITS, Timeouts())
    for pieces in ((), (b"abc",), (b"a" * MIB,), (b"ab", b"", b"c")):
        with await bodies.read({}, _client(*pieces), owner="acct:a", address="") as body:
            assert body.data == b"".join(pieces)


async def test_who_has_no_key_may_send_far_less() -> None:
    bodies = Bodies(LIMITS, lambda: LIMITS, Timeouts())
    large = b"x" * (64 * 1024 + 1)
    assert isinstance(await _refused(bodies, _client(large), None), Unauthorized)
    # What is announced is refused before it comes.
    assert isinstance(await _refused(bodies, _client(ends=False), None, len(large)), Unauthorized)
    assert isinstance(await _refused(bodies, _client(ends=False), "acct:a", MIB + 1), TooLarge)
    assert isinstance(await _refused(bodies, _client(b"x" * MIB, b"x"), "acct:a"), TooLarge)
    with await bodies.read({}, _client(large), owner="acct:a", address="") as body:
        assert body.data == large


async def test_a_body_that_does_not_come_ends_its_wait() -> None:
    for timeouts in (Timeouts(body_idle_s=0.01), Timeouts(body_s=0.01)):
        bodies = Bodies(LIMITS, lambda: LIMITS, timeouts)
        assert isinstance(await _refused(bodies, _client(b"x" * 1000, ends=False), "acct:a"), TooSlow)


async def test_unfinished_bodies_are_bounded_for_an_owner_and_altogether() -> None:
    bodies = Bodies(LIMITS, lambda: LIMITS, Timeouts())
    piece = b"x" * MIB
    held = [await bodies.read({}, _client(piece), owner=f"acct:{number}", address="") for number in range(4)]
    refused = await _refused(bodies, _client(piece), "acct:5")
    assert (refused.status, refused.retry_after_s) == (503, 1)
    held.pop().release()
    assert isinstance(await _refused(bodies, _client(b"x"), "acct:0"), Unavailable)
    with await bodies.read({}, _client(piece), owner="acct:5", address=""):
        # Who has no key has room of their own.
        await bodies.read({}, _client(b"x"), owner=None, address="1.2.3.4")


async def test_what_was_given_up_counts_no_more() -> None:
    bodies = Bodies(LIMITS, lambda: LIMITS, Timeouts(body_idle_s=0.01))

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    for _ in range(20):
        await _refused(bodies, _client(b"x" * (MIB - 1), ends=False), "acct:a")
        await _refused(bodies, _client(b"x" * MIB, b"x"), "acct:a")
        with pytest.raises(ClientGone):
            await bodies.read({}, gone, owner="acct:a", address="")


async def test_a_form_is_held_once_and_twice_for_a_moment() -> None:
    """While it is read, and while its parts are looked at; the log wants it whole."""
    head = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nstub/whisper\r\n'
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    form = head + file + bytes(5 * MIB) + b"\r\n--x--\r\n"
    pieces = [form[at : at + 65_536] for at in range(0, len(form), 65_536)]
    limits = Limits()
    tracemalloc.start()
    body = await Bodies(limits, lambda: limits, Timeouts()).read({}, _client(*pieces), owner="a", address="b")
    held, peak = tracemalloc.get_traced_memory()
    assert held < 1.1 * len(form)
    assert peak < 2.2 * len(form)
    tracemalloc.reset_peak()
    parse(Surface.TRANSCRIPTIONS, body.data, "multipart/form-data; boundary=x")
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1.1 * len(form)
    assert peak < 2.2 * len(form)
