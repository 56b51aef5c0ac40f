"""Tags and customers from a client's request to the reports, and what one request cost, asked of the gateway."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.local.home import ROOT
from tests.e2e.plane import Person, Plane
from tests.e2e.test_console_pages import Desk
from tests.stacks import Gateway, chat, until


@pytest.fixture
def plane(gateway: Gateway) -> Plane:
    return Plane(gateway, 1)


async def _get(plane: Plane, person: Person, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {person.key}"}
    return await plane.gateway.http.get(f"{plane.gateway.base_url}/{path}", headers=headers)


async def test_the_example_prints_the_cost_that_the_ledger_has(plane: Plane) -> None:
    person = await plane.person()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "docs/examples/tags.py"),
        env=os.environ | {"SLUICE_BASE_URL": plane.gateway.base_url, "SLUICE_API_KEY": person.key},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    cost, total = (float(line.split()[1]) for line in out.decode().splitlines())
    row = await plane.gateway.database.fetchrow(
        "select request_id::text, cost_microdollars, customer, tags, metadata from ledger.usage where account_id = $1",
        person.account_id,
    )
    assert row is not None
    assert (cost, total) == (row["cost_microdollars"] / 1e6,) * 2
    assert (row["customer"], row["tags"], row["metadata"]) == (
        "customer-7",
        '["nightly", "search"]',
        '{"team": "search"}',
    )
    shown = (await _get(plane, person, f"requests/{row['request_id']}")).json()
    assert shown["labels"] == {
        "tags": ["nightly", "search"],
        "customer": "customer-7",
        "metadata": {"team": "search"},
    }
    assert shown["cost_microdollars"] == row["cost_microdollars"]


@pytest.mark.parametrize(("path", "body"), [("chat/completions", {}), ("messages", {"max_tokens": 9})])
async def test_a_stream_ends_with_its_cost(plane: Plane, path: str, body: dict[str, Any]) -> None:
    asked = chat("hi", model="claude/echo", stream=True, usage={"include": True}, **body)
    response = await plane.gateway.http.post(
        f"{plane.gateway.base_url}/{path}", json=asked, headers={"Authorization": f"Bearer {plane.gateway.key}"}
    )
    entry = await plane.gateway.entry(response.headers["x-request-id"])
    assert f'"cost":{entry["cost_microdollars"] / 1e6}' in response.text


async def test_a_tag_and_a_customer_have_limits_of_their_own(plane: Plane) -> None:
    person = await plane.person()
    path = f"/api/accounts/{person.account_id}/limits"
    for scope, meters in (
        ("tag:nightly run", {"requests_per_day": 2}),
        ("customer:c1", {"usd_per_month": "0.000001"}),
    ):
        shown = await plane.call("PATCH", path, {"scope": scope, "meters": meters}, key=person.key)
        assert scope in shown["limits"]
    for wrong in ("tag", "customer", "tag:", "customer:a\nb", f"tag:{'x' * 65}"):
        await plane.call("PATCH", path, {"scope": wrong, "meters": {"concurrent": 1}}, key=person.key, status=400)

    async def refused() -> httpx.Response | None:
        answer = await plane.ask(person.key, user="c1")
        return answer if answer.status_code == 402 else None

    answer = await until(refused, what="a refusal for the customer's limit")
    assert answer.json()["error"]["metadata"]["limit"] == "customer-usd-month"
    statuses = [(await plane.ask(person.key, tags=["a", "nightly run"])).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await plane.ask(person.key, tags=["a"], user="c2")).status_code == 200

    async def used() -> bool | None:
        rows = (await plane.call("GET", path, key=person.key))["use"]
        return any(row["scope"] == "tag:nightly run" and row["used"] == 2 for row in rows) or None

    await until(used, what="the use of the tag's limit")


async def test_another_s_request_is_not_there(plane: Plane) -> None:
    one, other = await plane.person(), await plane.person()
    answer = await plane.ask(one.key)
    request_id = answer.headers["x-request-id"]
    assert (await _get(plane, one, f"generation?id={request_id}")).status_code == 200
    for path in (f"generation?id={request_id}", f"requests/{request_id}", "generation?id=chatcmpl-1", "generation"):
        assert (await _get(plane, other, path)).status_code == 404
    anonymous = await plane.gateway.http.get(f"{plane.gateway.base_url}/requests/{request_id}")
    assert anonymous.status_code == 401


async def test_the_share_of_prompt_caches_is_seen_by_provider(plane: Plane, gateway: Gateway) -> None:
    person = await plane.person()
    for model, text in (("claude/echo", "[[stub cache=1000]]"), ("stub/echo", "hi")):
        answer = await gateway.post(chat(text, model=model), Authorization=f"Bearer {person.key}")
        await gateway.entry(answer.headers["x-request-id"])
    rows = await plane.call("GET", f"/api/accounts/{person.account_id}/usage?by=provider", key=person.key)
    found = {row["provider"]: row for row in rows}
    cached = found["claude"]
    assert cached["cache_hit_percent"] == round(100 * 1_000 / cached["input_tokens"], 1) > 50
    assert found["stub"]["cache_hit_percent"] == 0


async def test_reports_by_tag_and_customer_with_filters(plane: Plane, gateway: Gateway) -> None:
    person = await plane.person()
    second = await plane.key(person.account_id)
    asked: tuple[tuple[str, dict[str, Any], dict[str, str]], ...] = (
        (person.key, {"tags": ["a", "b"], "user": "one"}, {}),
        (person.key, {"user": "two"}, {"x-litellm-tags": "a"}),
        (second.key, {"tags": ["b"], "user": "one", "model": "stub/large"}, {}),
        (second.key, {}, {}),
    )
    for key, body, headers in asked:
        answer = await gateway.post(chat("hi") | body, **({"Authorization": f"Bearer {key}"} | headers))
        assert answer.status_code == 200, answer.text
        await gateway.entry(answer.headers["x-request-id"])
    path = f"/api/accounts/{person.account_id}/usage"
    fingerprint = (await plane.call("GET", f"{path}?by=key&tag=a", key=person.key))[0]["key"]
    day = timedelta(days=1)

    def _moment(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    hours = f"&since={_moment(datetime.now(UTC) - timedelta(hours=2))}"
    days = f"&since={_moment(datetime.now(UTC) - 3 * day)}&until={_moment(datetime.now(UTC) + 3 * day)}"
    for span in (hours, days):

        async def counts(by: str, span: str = span, **only: str) -> dict[str, int]:
            query = "".join(f"&{name}={value}" for name, value in only.items())
            rows = await plane.call("GET", f"{path}?by={by}{span}{query}", key=person.key)
            return {str(row[by]): row["requests"] for row in rows}

        assert await counts("tag") == {"a": 2, "b": 2}
        assert await counts("customer") == {"one": 2, "two": 1}
        assert await counts("model", customer="one") == {"stub/echo": 1, "stub/large": 1}
        assert await counts("tag", customer="one") == {"a": 1, "b": 2}
        assert await counts("customer", tag="b", key=fingerprint) == {"one": 1}
        assert await counts("model", tag="b", customer="one") == {"stub/echo": 1, "stub/large": 1}
        assert await counts("model", key=fingerprint) == {"stub/echo": 2}
        assert await counts("day", tag="a") == {datetime.now(UTC).date().isoformat(): 2}
        assert await counts("tag", customer="nobody") == {}
        assert await counts("provider") == {"stub": 4}
        assert await counts("provider", tag="b") == {"stub": 2}
    async with httpx.AsyncClient(base_url=gateway.stack.console_url, trust_env=False) as http:
        desk = Desk(http)
        await desk.sign_in(person.key)
        page = (await http.get("/me/usage?by=customer&tag=b")).text
        assert "one" in page
        assert ">two<" not in page
        listed = (await http.get("/me/requests?customer=two")).text
        assert listed.count('<tr id="r') == 1
        request_id = listed.partition('<tr id="r')[2].partition('"')[0]
        assert "<dd>a</dd>" in (await http.get(f"/me/requests/{request_id}")).text
        table = (await http.get("/me/usage.csv?by=tag")).text
        assert table.splitlines()[1:] == sorted(table.splitlines()[1:], key=lambda line: line[0])
