"""Others are given up when they are silent for long, and not when we slept."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable

import pytest
import uvloop

from libs.runtime.silence import Silence, SilenceTimer


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01])
def test_who_is_silent_for_long_is_given_up(seconds: float, run: Callable[..., None]) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with Silence(seconds) as silence:
                await asyncio.Event().wait()
        assert silence.too_long

    run(wait())


async def test_a_task_that_has_waited_is_freed_with_what_it_has_read() -> None:
    class Body:
        """Of an answer."""

    async def read() -> Body:
        async with Silence(60) as silence:
            silence.allow(30)
            return Body()

    gc.disable()
    try:
        task = asyncio.create_task(read())
        body = weakref.ref(await task)
        del task
        # The loop has it until this turn is over.
        await asyncio.sleep(0)
        assert body() is None
    finally:
        gc.enable()


async def test_each_word_begins_the_time_anew_and_none_ends_it() -> None:
    async with Silence(0.01) as silence:
        silence.allow(None)
        await asyncio.sleep(0.05)
        silence.allow(60)
    async with Silence(0.05) as silence:
        silence.allow(60)
        await asyncio.sleep(0.2)
    assert not silence.too_long
    with pytest.raises(TimeoutError):
        async with Silence(60) as silence:
            silence.allow(0.01)
            await asyncio.Event().wait()


@pytest.mark.parametrize("slept_s", [0.25, 0.5])
async def test_our_own_sleep_is_not_the_other_s_silence(slept_s: float) -> None:
    said = asyncio.Event()
    async with Silence(0.3) as silence:
        # The process stands still, and the word comes meanwhile.
        time.sleep(slept_s)
        asyncio.get_running_loop().call_later(0.02, said.set)
        await said.wait()
    assert not silence.too_long
    with pytest.raises(TimeoutError):
        async with Silence(0.2):
            time.sleep(0.4)
            await asyncio.Event().wait()


async def test_however_often_we_sleep_it_does_not_count() -> None:
    async with Silence(0.3) as silence:
        for _ in range(8):
            time.sleep(0.15)
            await asyncio.sleep(0)
    assert not silence.too_long


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_a_timer_rings_once_and_only_if_it_goes_on(run: Callable[..., None]) -> None:
    async def ring_and_stop() -> None:
        rung = asyncio.Semaphore(0)
        timer, stopped = SilenceTimer(rung.release), SilenceTimer(rung.release)
        began_s = time.monotonic()
        for one in (timer, stopped):
            one.allow(0.06)
        stopped.stop()
        await rung.acquire()
        assert time.monotonic() - began_s >= 0.05
        await asyncio.sleep(0.2)
        assert rung.locked()

    run(ring_and_stop())


async def test_who_is_cancelled_by_another_is_not_timed_out() -> None:
    async def waits() -> None:
        async with Silence(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_fails_meanwhile_fails() -> None:
    with pytest.raises(ValueError, match="no"):
        async with Silence(60):
            raise ValueError("no")
