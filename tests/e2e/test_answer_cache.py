"""Answers that are given again: to whom, how, at what cost, and until when."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx
import pytest

from deploy.local.home import ROOT
from tests.e2e.plane import Person, Plane
from tests.stacks import Gateway, chat, until

ON = {"x-sluice-cache": "on"}


@pytest.fixture
def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


async def _ask(plane: Plane, person: Person, text: str, headers: dict[str, str] = ON, **more: Any) -> httpx.Response:
    answer = await plane.gateway.post(chat(text, **more), Authorization=f"Bearer {person.key}", **headers)
    assert answer.status_code == 200, answer.text
    return answer


async def test_the_example_pays_once(plane: Plane) -> None:
    person = await plane.person()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "docs/examples/cache.py"),
        env=os.environ | {"SLUICE_BASE_URL": plane.gateway.base_url, "SLUICE_API_KEY": person.key},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    first, second = out.decode().splitlines()
    assert first.startswith("miss ")
    assert float(first.split()[1]) > 0
    assert second == "hit 0.0"


async def test_a_hit_is_the_same_answer_and_no_provider_is_asked(plane: Plane) -> None:
    person = await plane.person()
    for stream in (False, True):
        first = await _ask(plane, person, "the same?", stream=stream)
        before = await plane.gateway.stub_stats()
        second = await _ask(plane, person, "the same?", stream=stream, user="another", tags=["t"])
        assert (first.headers["x-sluice-cache"], second.headers["x-sluice-cache"]) == ("miss", "hit")
        assert second.content == first.content
        assert second.headers["content-type"] == first.headers["content-type"]
        assert int(second.headers["age"]) < 60
        assert await plane.gateway.stub_stats() == before
        entry = await plane.gateway.entry(second.headers["x-request-id"])
        paid = await plane.gateway.entry(first.headers["x-request-id"])
        assert (entry["cached_percent"], entry["cost_microdollars"], entry["outcome"]) == (0, 0, "completed")
        assert paid["cached_percent"] is None
        assert paid["cost_microdollars"] > 0
        assert (entry["input_tokens"], entry["attempts"]) == (paid["input_tokens"], 0)
    (used,) = await plane.call("GET", f"/api/accounts/{person.account_id}/usage", key=person.key)
    assert (used["requests"], used["answer_cache_hits"]) == (4, 2)


async def test_what_is_asked_otherwise_or_by_others_is_no_hit(plane: Plane) -> None:
    one, other = await plane.person(), await plane.person()
    await _ask(plane, one, "whose?")
    assert (await _ask(plane, other, "whose?")).headers["x-sluice-cache"] == "miss"
    assert (await _ask(plane, one, "whose?", temperature=0.5)).headers["x-sluice-cache"] == "miss"
    assert (await _ask(plane, one, "whose?", stream=True)).headers["x-sluice-cache"] == "miss"
    assert "x-sluice-cache" not in (await _ask(plane, one, "whose?", {})).headers
    assert (await _ask(plane, one, "whose?")).headers["x-sluice-cache"] == "hit"
    shared = {"x-sluice-cache": "shared"}
    await _ask(plane, one, "ours?", shared)
    assert (await _ask(plane, other, "ours?", shared)).headers["x-sluice-cache"] == "hit"


async def test_clients_say_how_old_and_whether_at_all(plane: Plane) -> None:
    person = await plane.person()
    await _ask(plane, person, "fresh?")
    fresh = await _ask(plane, person, "fresh?", ON | {"cache-control": "no-cache"})
    assert fresh.headers["x-sluice-cache"] == "miss"
    assert (await _ask(plane, person, "fresh?", ON | {"cache-control": "max-age=60"})).headers[
        "x-sluice-cache"
    ] == "hit"
    assert "x-sluice-cache" not in (await _ask(plane, person, "fresh?", ON | {"cache-control": "no-store"})).headers
    clear = (str(ROOT / "sluice"), "cache", "clear", "--json", "--gateway", plane.gateway.base_url)
    process = await asyncio.create_subprocess_exec(
        *clear, env=os.environ | {"SLUICE_KEY": person.key}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert json.loads(out) == {"owner": f"acct:{person.account_id}", "forgotten": True}

    async def gone() -> bool | None:
        answer = await _ask(plane, person, "fresh?", ON | {"cache-control": "max-age=60"}, cache={"no-store": True})
        return answer.headers["x-sluice-cache"] == "miss" or None

    await until(gone, what="miss after DELETE /cache")


async def test_a_failure_is_not_kept(plane: Plane) -> None:
    person = await plane.person()
    for _ in range(2):
        answer = await plane.gateway.post(chat("[[stub error=400]]"), Authorization=f"Bearer {person.key}", **ON)
        assert answer.status_code == 400
        assert answer.headers["x-sluice-cache"] == "miss"


async def test_same_requests_at_once_share_one_call(plane: Plane) -> None:
    person = await plane.person()
    before = await plane.gateway.stub_stats()
    text = "[[stub chunks=5 gap_ms=50]] all at once"
    joining = {"x-sluice-cache": "join"}
    answers = await asyncio.gather(*(_ask(plane, person, text, joining, stream=True) for _ in range(8)))
    after = await plane.gateway.stub_stats()
    assert sorted(answer.headers["x-sluice-cache"] for answer in answers) == ["hit"] * 7 + ["miss"]
    assert len({answer.content for answer in answers}) == 1
    assert after["requests"] - before.get("requests", 0) == 1
