"""The catalog changes under load: services take a version over at once, lose nothing, charge what was promised."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import yaml

from deploy.local.errors import StackError
from tests.stacks import CONFIG, Gateway, chat, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEW = {
    "id": "stub/new",
    "provider": "stub",
    "upstream_model": "echo-1",
    "pricing": {"prompt": "0", "completion": "0.001"},
}
DEARER = {"prompt": "0.000002", "completion": "0.000016"}


def _file() -> str:
    """That of the stack, with one model more and another price."""
    content = yaml.safe_load(CONFIG.read_text())
    for model in content["models"]:
        if model["id"] == "stub/echo":
            model["pricing"] = DEARER
    content["models"].append(NEW)
    return yaml.safe_dump(content)


async def test_a_price_changes_under_load_without_a_lost_request(gateway: Gateway) -> None:
    await gateway.manage("POST", f"/api/accounts/{gateway.account_id}/credit", {"usd": "50"})
    answers: list[Any] = []
    ends = asyncio.Event()

    async def ask() -> None:
        while not ends.is_set():
            answers.append(await gateway.post(chat("hello there")))

    async def asked(count: int) -> bool | None:
        return len(answers) >= count or None

    before = (await gateway.manage("GET", "/api/catalog"))["version"]
    assert (await gateway.post(chat("hi", model="stub/new"))).status_code == 400
    load = [asyncio.create_task(ask()) for _ in range(4)]
    try:
        await until(lambda: asked(20), what="requests under the first version")
        changed = await gateway.manage("PUT", "/api/catalog", {"document": _file(), "expected": before})
        applied_at = time.time_ns() // 1_000_000
        assert {one["what"] for one in changed["changes"]} >= {"models.stub/new@stub", "prices.stub/echo@stub"}
        with pytest.raises(StackError, match="came meanwhile"):
            await gateway.manage("PUT", "/api/catalog", {"document": CONFIG.read_text(), "expected": before})
        with pytest.raises(StackError, match="line 2: nowhere: no such section"):
            await gateway.manage("PUT", "/api/catalog", {"document": "providers: {}\nnowhere: 1\n"})
        count = len(answers)
        await until(lambda: asked(count + 40), what="requests under the second version")
        new = await gateway.post(chat("hi", model="stub/new"))
        back = await gateway.manage("POST", "/api/catalog/rollback", {"version": before})
        count = len(answers)
        await until(lambda: asked(count + 20), what="requests under the third version")
    finally:
        ends.set()
        await asyncio.gather(*load)
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert new.status_code == 200
    by_version: dict[int, set[int]] = {}
    for answer in answers:
        entry = await gateway.entry(answer.headers["x-request-id"])
        by_version.setdefault(entry["catalog_version"], set()).add(entry["cost_microdollars"])
        if entry["accepted_at"].timestamp() * 1000 > applied_at + 1_000:
            assert entry["catalog_version"] > before, "a second is enough"
    cheap, dear = by_version[before], by_version[changed["version"]]
    assert len(cheap) == len(dear) == 1
    assert cheap < dear or min(dear) > max(cheap)
    assert by_version[back["version"]] == cheap
    assert (await gateway.post(chat("hi", model="stub/new"))).status_code == 400
    listed = await gateway.manage("GET", "/api/catalog/versions")
    assert [one["source"] for one in listed[:2]] == ["rollback", "apply"]


async def test_recorded_usage_is_repriced_and_settled_once(gateway: Gateway) -> None:
    account = f"/api/accounts/{gateway.account_id}"
    await gateway.manage("POST", f"{account}/credit", {"usd": "50"})
    since = datetime.now(UTC)
    answers = [await gateway.post(chat("hello there")) for _ in range(3)]
    costs = [(await gateway.entry(one.headers["x-request-id"]))["cost_microdollars"] for one in answers]
    before = (await gateway.manage("GET", "/api/catalog"))["version"]
    dearer = await gateway.manage("PUT", "/api/catalog", {"document": _file()})
    await gateway.manage("POST", "/api/catalog/rollback", {"version": before})
    order: dict[str, Any] = {
        "version": dearer["version"],
        "since": since.isoformat(),
        "until": datetime.now(UTC).isoformat(),
        "owner": f"acct:{gateway.account_id}",
    }
    shown = await gateway.manage("POST", "/api/catalog/reprice", order)
    difference = shown["difference_microdollars"]
    assert (shown["requests"], shown["posted"], shown["unpriced"]) == (3, [], 0)
    assert sum(costs) < sum(costs) + difference < 2 * sum(costs)
    with pytest.raises(StackError, match="the difference is"):
        await gateway.manage("POST", "/api/catalog/reprice", {**order, "post": True, "expected_microdollars": 1})
    confirmed = {**order, "post": True, "expected_microdollars": difference}
    posted = [await gateway.manage("POST", "/api/catalog/reprice", confirmed) for _ in range(2)]
    assert posted[0]["posted"] == posted[1]["posted"]
    (entry,) = posted[0]["posted"]

    async def entered() -> list[int] | None:
        rows = await gateway.database.fetch(
            "select amount_microdollars from ledger.entries where kind = 'adjustment' and entry_id = $1",
            UUID(entry["id"]),
        )
        return [row["amount_microdollars"] for row in rows] or None

    assert await until(entered, what="the adjusting entry") == [difference]
