"""What goes onto the log together."""

import asyncio
from functools import partial

from services.relay.beat import Beat


async def _turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_after_a_rest_it_is_at_once_and_then_not_before_the_next_beat() -> None:
    called: list[str] = []
    beat = Beat(every_s=60)
    beat.call(partial(called.append, "one"))
    assert not called
    await _turns()
    assert called == ["one"]
    for name in ("two", "three"):
        beat.call(partial(called.append, name))
        await _turns()
    assert called == ["one"]


async def test_who_waits_is_called_once_and_with_all_others() -> None:
    called: list[str] = []
    done = asyncio.Event()
    beat = Beat(every_s=0.01)

    def again() -> None:
        called.append("again")
        if called.count("again") == 3:
            done.set()
        else:
            beat.call(again)

    beat.call(again)
    beat.call(partial(called.append, "beside"))
    async with asyncio.timeout(60):
        await done.wait()
    assert called == ["again", "beside", "again", "again"]


async def test_one_that_fails_keeps_no_other_from_it() -> None:
    called: list[str] = []
    failed: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failed.append(context["exception"]))

    def fail() -> None:
        raise PermissionError

    try:
        beat = Beat()
        for function in (fail, partial(called.append, "other")):
            beat.call(function)
        await _turns()
    finally:
        loop.set_exception_handler(None)
    assert called == ["other"]
    assert [type(error) for error in failed] == [PermissionError]
