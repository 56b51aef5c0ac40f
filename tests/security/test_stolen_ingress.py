"""The ingress's credentials: what whoever has them may write to the log, and cannot get by it."""

from typing import Any

import pytest
from uuid_utils import uuid7

from contracts import topics
from contracts.requests import RequestAccepted
from libs.bus.reading import read_to_end
from libs.bus.records import decode
from tests.e2e.plane import LET_IN, Person, Plane
from tests.security.forging import forge
from tests.stacks import Gateway, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")
HOUR_MS = 3_600_000


async def _seen(gateway: Gateway, key: str | None, model: str = "stub/echo") -> RequestAccepted:
    """A request that came through the ingress, as it stands on the log."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = await gateway.http.post(
        f"{gateway.base_url}/chat/completions", json=chat("hi", model=model), headers=headers
    )
    wanted = answer.headers["x-request-id"].encode()
    async for raw in read_to_end(gateway.stack.bus, topics.REQUESTS):
        if wanted in (raw.value or b""):
            found = decode(raw).record
            assert isinstance(found, RequestAccepted)
            return found
    raise AssertionError("it is not on the log")


async def _ends(gateway: Gateway, request: RequestAccepted, **changes: Any) -> tuple[str, int]:
    """How a forged request ends, by the books: its outcome and status."""
    forged = request.model_copy(update={"request_id": str(uuid7()), **changes})
    await forge(gateway, topics.REQUESTS, forged)
    entry = await gateway.entry(forged.request_id)
    assert entry["cost_microdollars"] == 0
    return entry["outcome"], entry["status"]


async def _person(plane: Plane) -> Person:
    person = await plane.person()
    await plane.becomes(LET_IN, person.key)
    return person


async def test_nobody_is_spoken_for_whose_token_was_not_seen(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    victim = await _person(plane)
    seen = await _seen(gateway, gateway.key)
    as_victim = {
        "subject": f"acct:{victim.account_id}",
        "caller": seen.caller.model_copy(update={"account_id": victim.account_id}),
    }
    assert await _ends(gateway, seen, **as_victim) == ("rejected", 403)
    assert await _ends(gateway, seen, **as_victim, voucher=None) == ("rejected", 403)


async def test_an_organization_s_credit_is_its_members(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    owner = await _person(plane)
    organization = (await plane.call("POST", "/api/organizations", {"name": "O"}, key=owner.key))["id"]
    seen = await _seen(gateway, gateway.key)
    caller = seen.caller.model_copy(update={"organization_id": organization, "role": "owner"})
    assert await _ends(gateway, seen, subject=f"org:{organization}", caller=caller) == ("rejected", 403)


async def test_a_token_that_was_seen_is_of_no_use_once_it_is_revoked(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await _person(plane)
    seen = await _seen(gateway, person.key)
    await plane.call("DELETE", f"/api/keys/{person.key_id}")
    await plane.becomes(401, person.key)
    now = {
        "accepted_at_ms": seen.accepted_at_ms,
        "route_by_ms": seen.route_by_ms,
        "deadline_ms": seen.deadline_ms,
    }
    assert (await _ends(gateway, seen, **now))[0] == "rejected"


async def test_no_request_is_put_into_an_hour_that_has_passed(gateway: Gateway) -> None:
    seen = await _seen(gateway, None, "stub/echo:free")
    for shift in (-HOUR_MS, HOUR_MS):
        times = {
            "accepted_at_ms": seen.accepted_at_ms + shift,
            "route_by_ms": seen.route_by_ms + shift,
            "deadline_ms": seen.deadline_ms + shift,
        }
        outcome, status = await _ends(gateway, seen, **times)
        assert (outcome, status // 100) == ("rejected", 5)
