"""Bad input against the stack that runs: a sample of what `./sluice bench fuzz` sends."""

from tests.fuzz.bodies import bombs, changed_bodies
from tests.fuzz.sending import attack
from tests.fuzz.wire import cases_and_changes
from tests.stacks import Gateway, chat

SEED, CHANGED = 19, 60


async def test_whatever_comes_is_answered_and_never_with_500(gateway: Gateway) -> None:
    requests = (
        *(("framing", data) for data in cases_and_changes(SEED, CHANGED)),
        *bombs(),
        *changed_bodies(SEED, CHANGED, gateway.key, "stub/echo"),
    )
    seen = await attack(gateway.base_url, requests)
    assert not seen.failed
    assert sum(seen.sent.values()) > 200
    assert seen.statuses["200"] >= 1
    assert seen.statuses["400"] > 50
    health = await gateway.stack.health()
    assert all(answer["ready"] for answer in health.values())
    assert (await gateway.post(chat("hi"))).status_code == 200
