"""The door of an ingress: who comes in, who waits, and what the others are told."""

import asyncio
import sys
from importlib import import_module
from typing import Any

import pytest

from contracts.requests import Surface
from deploy.local.ports import LOOPBACK, free_port
from libs.config.gateway import Overload
from libs.runtime.framing import RawHeaders
from libs.runtime.server import HttpServer
from services.ingress import door as door_module
from services.ingress.core.errors import IngressError, RateLimited, Unavailable
from services.ingress.core.shares import SPARE_PART
from services.ingress.door import Door, Stay
from services.ingress.gate import Gate
from services.ingress.routes import completion_paths

KEY = b"Bearer key"
PATH = b"/api/gateway/chat/completions"
AUTHORIZED: RawHeaders = [(b"host", b"x"), (b"authorization", KEY)]


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends by itself while a test runs, unless it says so."""
    monkeypatch.setattr(door_module, "WAIT_S", 60)
    monkeypatch.setattr(door_module, "LEAST_PATIENCE_S", 60)


async def _filled(door: Door, owner: str | None = "acct:greedy") -> list[Stay]:
    """Enters until somebody is refused."""
    stays: list[Stay] = []
    while not door.full:
        stays.append(await door.enter(owner))
    return stays


async def _crowded(door: Door) -> list[Stay]:
    """Enters until no spare place is left either."""
    stays, limit = await _filled(door), door.places
    stays += [await door.enter(f"acct:{number}") for number in range(int(limit * SPARE_PART))]
    return stays


async def test_who_asks_for_too_much_is_refused_and_comes_in_again_when_others_leave() -> None:
    door = Door(Overload())
    stays = await _filled(door)
    with pytest.raises(Unavailable) as refused:
        await door.enter("acct:greedy")
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    with stays[0]:
        pass
    with await door.enter("acct:greedy"):
        assert door.full


async def test_a_modest_owner_has_the_next_place_and_the_greedy_one_is_told_why_not() -> None:
    door = Door(Overload())
    stays = await _crowded(door)
    waiting = asyncio.create_task(door.enter("acct:modest"))
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await door.enter("acct:greedy")
    assert refused.value.status == 429
    while len(stays) >= door.places:
        assert not waiting.done()
        stays.pop(0).answered(0)
        await asyncio.sleep(0)
    with await waiting:
        assert door.full


async def test_nothing_is_kept_of_who_was_refused() -> None:
    """A raised exception has the frames that it passed, and all that is in them."""
    door = Door(Overload())
    await _filled(door)
    refusals = []
    for _ in range(2):
        with pytest.raises(IngressError) as refused:
            await door.enter("acct:greedy")
        refusals.append(refused.value)
    assert refusals[0] is not refusals[1]


def test_no_exception_waits_to_be_raised_again() -> None:
    import_module("services.ingress.app")
    ours = [module for name, module in sys.modules.items() if name.startswith(("services.", "libs.", "contracts."))]
    kept = [
        f"{module.__name__}.{name}"
        for module in ours
        for name, value in vars(module).items()
        if isinstance(value, BaseException)
    ]
    assert kept == []


async def test_who_asks_for_little_does_not_wait_for_a_place() -> None:
    door = Door(Overload())
    await _filled(door)
    with await asyncio.wait_for(door.enter("acct:modest"), 30), pytest.raises(RateLimited):
        await door.enter("acct:greedy")


async def test_who_waits_too_long_or_goes_away_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "WAIT_S", 0.01)
    door = Door(Overload())
    stays = await _crowded(door)
    with pytest.raises(IngressError):
        await door.enter("acct:modest")
    gone = asyncio.create_task(door.enter("acct:modest"))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    for stay in stays:
        stay.answered(0)
    assert len(await _crowded(door)) == len(stays)


async def test_who_waits_for_a_provider_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "LEAST_PATIENCE_S", 0.01)
    door = Door(Overload())
    await _filled(door)
    while door.full:
        await asyncio.sleep(0.01)


async def test_shares_follow_weights() -> None:
    door = Door(Overload(weights={"acct:heavy": 3}))
    first = await _filled(door, "acct:heavy")
    waiting = [asyncio.create_task(door.enter("acct:light")) for _ in range(len(first) // 4 + 4)]
    for stay in first:
        await asyncio.sleep(0)
        stay.answered(0)
        await _filled(door, "acct:heavy")
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(one, Stay) for one in ended) == len(first) // 4


async def test_of_what_one_turn_of_the_loop_reads_no_more_pass_the_gate_than_there_is_room_for() -> None:
    door = Door(Overload())
    gate = Gate(door, completion_paths(), completion_paths(Surface.MESSAGES))
    gate.remember(AUTHORIZED, "acct:greedy")
    passed = [gate(PATH, AUTHORIZED) is None for _ in range(2 * door.places)]
    assert sum(passed) == door.places
    stays = [await door.enter("acct:greedy") for _ in range(door.places)]
    stays.pop().answered(0)
    assert [gate(PATH, AUTHORIZED) is None for _ in range(2)] == [True, False]


async def test_who_was_let_through_and_does_not_come_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(Overload())
    while door.knock("acct:a") is None:
        pass
    monkeypatch.setattr(door_module, "COMES_WITHIN_S", -1)
    assert door.knock("acct:a") is None


async def test_the_gate_refuses_whom_it_knows_and_nobody_else() -> None:
    door = Door(Overload())
    gate = Gate(door, completion_paths(), completion_paths(Surface.MESSAGES))
    gate.remember(AUTHORIZED, "acct:greedy")
    assert gate(PATH, AUTHORIZED) is None
    await _filled(door)
    refused = gate(PATH + b"?beta=true", AUTHORIZED)
    assert refused is not None
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'{"error":{' in refused
    assert b'{"type":"error"' in (gate(b"/api/gateway/v1/messages", AUTHORIZED) or b"")
    for path, headers in (
        (b"/api/gateway/models", AUTHORIZED),
        (PATH, [(b"authorization", b"Bearer other")]),
        (PATH, [*AUTHORIZED, (b"x-kilocode-organizationid", b"org_1")]),
        (PATH, []),
    ):
        assert gate(path, headers) is None


async def test_a_connection_that_the_gate_has_answered_goes_on() -> None:
    served: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def gate(url: bytes, headers: RawHeaders) -> bytes | None:
        return b"HTTP/1.1 503 \r\ncontent-length: 2\r\n\r\nno" if url == b"/full" else None

    port = free_port()
    server = HttpServer(app, LOOPBACK, port, gate=gate, timeout_graceful_shutdown=1)
    await server.start()
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    for path, status in (("/full", b"503"), ("/", b"200"), ("/full", b"503"), ("/full", b"503"), ("/", b"200")):
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n".encode()
        writer.write(head + b"x" * 100_000)
        await writer.drain()
        writer.write(b"x" * 100_000)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.split()[1] == status
        assert await reader.readexactly(2) in (b"ok", b"no")
    assert served == ["/", "/"]
    writer.close()
    await server.stop()
