"""Others are given up when they are silent for long, and not when we slept."""

import asyncio
import time

import pytest

from libs.runtime import silence as module
from libs.runtime.silence import Silence


async def test_who_is_silent_for_long_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with Silence(0.01) as silence:
            await asyncio.Event().wait()
    assert silence.too_long


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


async def test_our_own_sleep_is_not_the_other_s_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_S", 0.05)
    said = asyncio.Event()
    async with Silence(0.3) as silence:
        # The process stands still, and the word comes meanwhile.
        time.sleep(0.5)
        asyncio.get_running_loop().call_later(0.02, said.set)
        await said.wait()
    assert not silence.too_long
    with pytest.raises(TimeoutError):
        async with Silence(0.2):
            time.sleep(0.4)
            await asyncio.Event().wait()


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
