"""Few come in in a turn of the loop, all come in, and in order."""

import asyncio

import pytest

from services.ingress.turnstile import Turnstile

MOST = 4


@pytest.mark.parametrize("count", [1, MOST, MOST + 1, 50])
async def test_a_turn_of_the_loop_lets_few_through_and_the_next_ones_the_others(count: int) -> None:
    turnstile, passed, turns = Turnstile(MOST), list[int](), list[int]()

    async def come(number: int) -> None:
        await turnstile.enter()
        passed.append(number)

    tasks = [asyncio.create_task(come(number)) for number in range(count)]
    while len(passed) < count:
        before = len(passed)
        await asyncio.sleep(0)
        turns.append(len(passed) - before)
    await asyncio.gather(*tasks)
    assert passed == list(range(count))
    assert max(turns) <= MOST


async def test_who_leaves_while_it_waits_takes_nobody_s_turn() -> None:
    turnstile, passed = Turnstile(1), list[int]()

    async def come(number: int) -> None:
        await turnstile.enter()
        passed.append(number)

    tasks = [asyncio.create_task(come(number)) for number in range(6)]
    await asyncio.sleep(0)
    for number in (2, 3):
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert passed == [0, 1, 4, 5]


async def test_after_quiet_all_of_a_turn_s_places_are_free() -> None:
    turnstile = Turnstile(MOST)
    for _ in range(3):
        await asyncio.gather(*(turnstile.enter() for _ in range(10 * MOST)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for _ in range(MOST):
            await asyncio.wait_for(turnstile.enter(), 1)
