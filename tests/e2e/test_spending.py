"""Prepaid credit, daily limits and rate limits, as clients and owners meet them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
import yaml

from contracts import headers as names
from contracts import topics
from contracts.credit import ReservationExceeded
from contracts.headers import header
from libs.bus.reading import read_to_end
from tests.e2e.plane import Person, Plane
from tests.faults.books import audited
from tests.stacks import CONFIG, chat, running_stack, until

LIMITS = {
    "model": {"requests_per_minute": 10},
    "account": {"tokens_per_minute": 60_000, "concurrent": 4},
    "wait_s": 0.5,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    environment = {
        "SLUICE_BILLING__PREPAID": "true",
        "SLUICE_BILLING__BUY_CREDITS_URL": "https://example.com/credits",
        "SLUICE_TIMEOUTS__LEAVE_S": "60",
    }
    async with running_stack(tmp_path_factory.mktemp("spending"), kafka, environment=environment) as gateway:
        yield Plane(gateway, 1)


async def fund(plane: Plane, path: str, usd: str) -> None:
    """Adds credit and waits until the ledger has it."""
    before = (await plane.call("GET", f"{path}/credit"))["balance_microdollars"]
    await plane.call("POST", f"{path}/credit", {"usd": usd})

    async def entered() -> bool | None:
        return (await plane.call("GET", f"{path}/credit"))["balance_microdollars"] != before or None

    await until(entered, what="credit in the ledger")


async def ask(plane: Plane, person: Person, organization: str | None = None, **more: Any) -> httpx.Response:
    """A request that can cost $0.05 at most, less its prompt, and costs 8 words."""
    return await plane.ask(person.key, organization_id=organization, **({"max_tokens": 6_000} | more))


async def becomes(
    plane: Plane, status: int, person: Person, organization: str | None = None, **more: Any
) -> httpx.Response:
    """The first answer of this status; credit and policies take a moment to reach rate-limit."""

    async def answered() -> httpx.Response | None:
        response = await ask(plane, person, organization, **more)
        return response if response.status_code == status else None

    return await until(answered, what=f"a {status}")


async def test_without_credit_a_paid_model_is_refused_and_a_free_one_is_not(plane: Plane) -> None:
    person = await plane.person()
    refused = await ask(plane, person)
    assert refused.status_code == 402
    error = refused.json()["error"]
    assert error["metadata"]["buyCreditsUrl"] == "https://example.com/credits"
    assert error["metadata"]["leftMicrodollars"] == 0
    assert 48_000 < error["metadata"]["neededMicrodollars"] <= 50_000
    with pytest.raises(openai.APIStatusError) as caught:
        client = openai.AsyncOpenAI(base_url=plane.gateway.base_url, api_key=person.key, max_retries=0)
        await client.chat.completions.create(model="stub/echo", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.status_code == 402
    assert (await ask(plane, person, model="stub/echo:free")).status_code == 200
    entry = await plane.gateway.entry(refused.headers["x-request-id"])
    assert (entry["outcome"], entry["status"], entry["cost_microdollars"]) == ("rejected", 402, 0)


async def test_who_has_no_balance_gets_the_free_small_model(plane: Plane) -> None:
    person = await plane.person()

    async def answered() -> Any:
        response = await plane.ask(person.key, model="kilo-auto/small", max_tokens=100)
        return response.json().get("model")

    assert await answered() == "stub/echo:free"
    await fund(plane, f"/api/accounts/{person.account_id}", "1")

    async def paid() -> bool | None:
        return await answered() == "stub/echo" or None

    await until(paid, what="the paid model")


async def test_large_prompts_of_refused_requests_are_not_on_the_log(plane: Plane) -> None:
    person, large = await plane.person(), "word " * 40_000
    refused = [await ask(plane, person, text=large, stream=stream) for stream in (False, True)]
    assert [answer.status_code for answer in refused] == [402, 402]
    free = [await ask(plane, person, model="stub/echo:free", text=large, stream=stream) for stream in (False, True)]
    assert [answer.status_code for answer in free] == [200, 200]
    on_the_log = {raw.key.decode() async for raw in read_to_end(plane.gateway.stack.bus, topics.PROMPTS)}
    assert {answer.headers["x-request-id"] for answer in free} <= on_the_log
    assert not {answer.headers["x-request-id"] for answer in refused} & on_the_log


# Free models of `kilo-auto/*`: of the stack that others share the free ones are used up.


async def test_one_of_the_free_models_stays_the_same_for_a_task(plane: Plane) -> None:
    gateway = plane.gateway
    found: dict[str, set[str]] = {}
    for task in ("t1", "t2", "t3", "t4", "t5", "t6"):
        for _ in range(2):
            response = await gateway.post(chat("hi", model="kilo-auto/free"), **{"X-KiloCode-TaskId": task})
            assert response.status_code == 200, response.text
            found.setdefault(task, set()).add(response.json()["model"])
            entry = await gateway.entry(response.headers["x-request-id"])
            assert entry["model"] == response.json()["model"]
    assert all(len(models) == 1 for models in found.values())
    assert set().union(*found.values()) <= {"stub/echo:free", "stub/other:free"}


async def test_without_a_key_the_free_ones_are_open_and_the_list_shows_them(plane: Plane) -> None:
    gateway = plane.gateway
    url = f"{gateway.base_url}/chat/completions"
    response = await gateway.http.post(url, json=chat("hi", model="kilo-auto/small"))
    assert (response.status_code, response.json()["model"]) == (200, "stub/echo:free")
    assert (await gateway.http.post(url, json=chat("hi", model="kilo-auto/frontier"))).status_code == 401
    listed = (await gateway.http.get(f"{gateway.base_url}/models")).json()["data"]
    assert {"kilo-auto/free", "kilo-auto/small"} <= {model["id"] for model in listed}


async def test_credit_lets_in_what_it_covers_and_the_ledger_knows_what_was_held(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "0.06")
    answer = await becomes(plane, 200, person)
    entry = await plane.gateway.entry(answer.headers["x-request-id"])
    assert 48_000 < entry["reserved_microdollars"] <= 50_000
    assert 0 < entry["cost_microdollars"] < 100
    again = await becomes(plane, 200, person)
    assert again.headers["x-request-id"] != answer.headers["x-request-id"]
    too_dear = await ask(plane, person, max_tokens=8_000)
    assert too_dear.status_code == 402
    assert (await ask(plane, person, n=2)).status_code == 402


async def test_the_relay_tells_the_provider_the_limit_that_was_reserved_for(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "1")
    await becomes(plane, 200, person)
    answer = await plane.ask(person.key, "[[stub chunks=20000]]")
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    assert usage["completion_tokens"] == 16_384
    assert answer.json()["choices"][0]["finish_reason"] == "length"


async def test_one_of_an_organization_s_members_cannot_spend_more_than_a_day_s_limit(plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "D"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    await fund(plane, path, "10")
    await plane.becomes(400, member.key, organization)
    await becomes(plane, 200, owner, organization)
    limits = {"member_daily_limit_usd": "0.0501", "member_daily_limits_usd": {owner.account_id: "5"}}
    await plane.call("PUT", f"{path}/policy", limits, key=owner.key)
    shown = (await plane.call("GET", f"{path}/policy", key=member.key))["policy"]
    assert shown == {
        "member_daily_limit_usd": "0.050100",
        "member_daily_limits_usd": {owner.account_id: "5.000000"},
    }
    costly = "[[stub chunks=1000]]"
    refused = await becomes(plane, 402, member, organization, text=costly)
    assert "daily limit" in refused.json()["error"]["message"]
    assert (await ask(plane, owner, organization)).status_code == 200
    await audited(plane.gateway)
    shown = await plane.call(
        "POST", f"{path}/policy/check", {"model": "stub/echo", "account": member.account_id}, key=owner.key
    )
    assert (shown["allowed"], shown["member_daily_limit_microdollars"]) == (True, 50_100)
    assert 0 < shown["spent_today_microdollars"] <= 50_100


async def test_owners_limit_teams_and_keys_and_the_refusal_names_the_limit(plane: Plane) -> None:
    owner, member = await plane.person(), await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "L"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await plane.join(organization, owner, member)
    await fund(plane, path, "10")
    await plane.becomes(400, member.key, organization)
    await plane.call("PUT", f"{path}/teams/core", key=owner.key, status=201)
    await plane.call("PUT", f"{path}/teams/core/members/{member.account_id}", key=owner.key)
    change = {"scope": "team:core", "meters": {"requests_per_day": 2, "usd_per_month": "5"}}
    shown = await plane.call("PATCH", f"{path}/limits", change, key=owner.key)
    assert shown["limits"] == {"team:core": {"requests_per_day": 2, "usd_per_month": "5.000000"}}
    await plane.call("PATCH", f"{path}/limits", change, key=member.key, status=403)
    refused = await becomes(plane, 429, member, organization)
    assert refused.json()["error"]["metadata"]["limit"] == "team-requests-day"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert '"team-requests-day";q=2;w=86400' in refused.headers["ratelimit-policy"]
    assert (await ask(plane, owner, organization)).status_code == 200, "who is not in the team is not limited by it"
    account = f"/api/accounts/{owner.account_id}"
    await fund(plane, account, "10")
    await becomes(plane, 200, owner)
    issued = await plane.call("POST", f"{account}/keys", {"limits": {"usd_per_month": "0.001"}}, key=owner.key)
    limited = Person(owner.account_id, issued["id"], issued["key"])
    refused = await becomes(plane, 402, limited)
    assert refused.json()["error"]["metadata"]["limit"] == "key-usd-month"
    assert (await ask(plane, owner)).status_code == 200
    await plane.call(
        "POST", f"{account}/keys", {"limits": {"concurrent": 1}, "scopes": ["manage"]}, key=owner.key, status=400
    )


async def test_who_lacks_only_what_others_hold_waits_for_it(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "0.06")
    await becomes(plane, 200, person)
    answers = await asyncio.gather(*(ask(plane, person, text="[[stub gap_ms=100]]") for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4, "each holds most of the credit, and needs little"
    waited = sorted(int(answer.headers.get("x-sluice-waited-ms", 0)) for answer in answers)
    assert waited[0] == 0
    assert all(waited[1:])


async def test_who_brings_their_own_key_needs_no_credit(plane: Plane) -> None:
    person = await plane.person()
    path = f"/api/accounts/{person.account_id}/provider-keys/stub"
    await plane.call("PUT", path, {"key": "sk-stub-of-my-own"}, key=person.key)
    answer = await becomes(plane, 200, person)
    entry = await plane.gateway.entry(answer.headers["x-request-id"])
    assert (entry["byok"], entry["cost_microdollars"], entry["reserved_microdollars"]) == (True, 0, None)
    await plane.call("DELETE", path, key=person.key)
    await becomes(plane, 402, person)


async def test_a_long_prompt_holds_its_tokens_where_the_tokenizer_is_known(plane: Plane) -> None:
    person, prompt = await plane.person(), "The relay streams the answer to the client. " * 2_000
    needed = {}
    for model in ("stub/echo", "stub/tokens"):
        refused = await plane.ask(person.key, prompt, model=model, max_tokens=1)
        assert refused.status_code == 402, refused.text
        needed[model] = refused.json()["error"]["metadata"]["neededMicrodollars"]
    assert needed["stub/echo"] >= 2 * len(prompt)
    assert 2 * 16_000 <= needed["stub/tokens"] <= needed["stub/echo"] / 3


async def test_what_was_counted_of_a_conversation_is_not_held_by_its_bytes_again(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "1")
    await becomes(plane, 200, person)
    turns = [{"role": "user", "content": "The relay streams the answer to the client. " * 2_000}]
    held = []
    for _ in range(2):
        body = {"model": "stub/echo", "messages": turns, "max_tokens": 10}
        answer = await plane.gateway.post(body, Authorization=f"Bearer {person.key}")
        assert answer.status_code == 200, answer.text
        turns = [*turns, answer.json()["choices"][0]["message"], {"role": "user", "content": "Go on."}]
        held.append((await plane.gateway.entry(answer.headers["x-request-id"]))["reserved_microdollars"])
    assert held[1] < held[0] / 3


async def test_a_policy_can_be_tried_before_it_is_set(plane: Plane) -> None:
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "T"}, key=owner.key))["id"]
    path = f"/api/organizations/{organization}"
    await fund(plane, path, "10")
    await plane.becomes(400, owner.key, organization)
    await becomes(plane, 200, owner, organization)
    assert (await ask(plane, owner, organization, model="stub/echo:free")).status_code == 200
    await audited(plane.gateway)
    draft: dict[str, Any] = {"model_allow": ["stub/*"], "data_collection": "deny", "provider_allow": ["absent"]}
    question = {"model": "stub/echo", "policy": draft}
    verdict = await plane.call("POST", f"{path}/policy/check", question, key=owner.key)
    assert (verdict["allowed"], verdict["rule"]) == (False, "provider_allow")
    replayed = await plane.call("POST", f"{path}/policy/replay", {"policy": draft}, key=owner.key)
    refused = {row["model"]: row["requests"] for row in replayed["newly_refused"]}
    assert set(refused) == {"stub/echo", "stub/echo:free"}
    assert replayed["requests"] == sum(refused.values())
    assert replayed["newly_allowed"] == []
    night = {"name": "streams", "refuse_when": "!stream && surface == 'chat.completions' && usd > 0.04"}
    draft = {"guardrails": {"conditions": [night, {"name": "long", "refuse_when": "prompt_bytes > 1"}]}}
    replayed = await plane.call("POST", f"{path}/policy/replay", {"policy": draft}, key=owner.key)
    (change,) = replayed["newly_refused"]
    assert (change["model"], change["rule"]) == ("stub/echo", "guardrails.conditions.streams")
    assert replayed["not_replayed"] == ["guardrails.conditions.long"]
    draft = {"guardrails": {"max_request_usd": "0.04"}}
    replayed = await plane.call("POST", f"{path}/policy/replay", {"policy": draft}, key=owner.key)
    assert [row["rule"] for row in replayed["newly_refused"]] == ["guardrails.max_request_usd"]
    assert (await plane.call("GET", f"{path}/policy", key=owner.key))["version"] == 0, "a draft changes nothing"
    await plane.call("PUT", f"{path}/policy", {"member_daily_limit_usd": "-1"}, key=owner.key, status=400)
    member = await plane.person()
    await plane.call("POST", f"{path}/policy/replay", {"policy": {}}, key=member.key, status=404)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limited(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    folder = tmp_path_factory.mktemp("limited")
    config = yaml.safe_load(CONFIG.read_text())
    config["limits"] |= LIMITS
    file = folder / "limited.yaml"
    file.write_text(yaml.safe_dump(config))
    async with running_stack(folder / "home", kafka, config=file) as gateway:
        yield Plane(gateway, 1)


async def test_rate_limits_are_told_in_headers_that_sdks_read(limited: Plane) -> None:
    person = await limited.person()
    answers = [await limited.ask(person.key, max_tokens=100) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    first, last = answers[0].headers, answers[-1].headers
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert first["x-ratelimit-limit-tokens"] == "60000"
    assert '"model-requests";q=10;w=60' in first["ratelimit-policy"]
    assert '"model-requests";r=0' in last["ratelimit"]
    assert 1 <= int(last["retry-after"]) <= 60
    other = await limited.person()
    assert (await limited.ask(other.key, max_tokens=100)).status_code == 200


async def test_at_most_so_many_requests_at_a_time(limited: Plane) -> None:
    person = await limited.person()
    slow = [limited.ask(person.key, "[[stub gap_ms=1500]]", max_tokens=100) for _ in range(6)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*slow)) == [200] * 4 + [429] * 2

    async def free_again() -> bool | None:
        return (await limited.ask(person.key, max_tokens=100)).status_code == 200 or None

    await until(free_again, what="room for one more")


async def test_a_request_that_can_never_fit_says_so(limited: Plane) -> None:
    person = await limited.person()
    refused = await limited.ask(person.key, max_tokens=70_000)
    assert refused.status_code == 429
    assert "lower `max_tokens`" in refused.json()["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_ends_soon_after_its_client_left_is_charged_as_counted(plane: Plane, stream: bool) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "1")
    await becomes(plane, 200, person)
    body = chat("[[stub chunks=40 gap_ms=25]]" if stream else "[[stub chunks=40 gap_ms=1000]]", stream=stream)
    headers = {"Authorization": f"Bearer {person.key}"}
    async with httpx.AsyncClient(base_url=plane.gateway.base_url, timeout=60, trust_env=False) as client:
        if stream:
            async with client.stream("POST", "chat/completions", json=body, headers=headers) as response:
                async for _line in response.aiter_lines():
                    break
        else:
            before = (await plane.gateway.stub_stats())["requests"]
            asking = asyncio.create_task(client.post("chat/completions", json=body, headers=headers))

            async def asked() -> bool | None:
                return (await plane.gateway.stub_stats())["requests"] > before or None

            await until(asked, what="the provider's call")
            asking.cancel()

    async def left() -> dict[str, Any] | None:
        row = await plane.gateway.database.fetchrow(
            "select * from ledger.usage where account_id = $1 and outcome = 'cancelled'", person.account_id
        )
        return dict(row) if row else None

    entry = await until(left, what="the entry of the answer that was left")
    assert (entry["status"], entry["output_tokens"], entry["estimated"]) == (499, 40, False)
    assert entry["cost_microdollars"] > 40 * 8


async def test_what_a_provider_bills_beyond_the_reservation_is_a_debt_that_billing_is_told_of(plane: Plane) -> None:
    person = await plane.person()
    account = f"/api/accounts/{person.account_id}"
    await fund(plane, account, "0.10")
    answer = await becomes(plane, 200, person, text="[[stub cache=1000000]]")
    entry = await plane.gateway.entry(answer.headers["x-request-id"])
    refused = await becomes(plane, 402, person)
    assert "credit" in refused.json()["error"]["message"].lower()
    balance = (await plane.call("GET", f"{account}/credit"))["balance_microdollars"]
    assert balance < 0
    events = [
        ReservationExceeded.model_validate_json(raw.value)
        async for raw in read_to_end(plane.gateway.stack.bus, topics.CREDIT)
        if header(raw.headers, names.TYPE) == "dev.sluice.ReservationExceeded"
    ]
    (event,) = [event for event in events if event.owner == f"acct:{person.account_id}"]
    assert event.request_id == answer.headers["x-request-id"]
    assert event.cost_microdollars == entry["cost_microdollars"] > event.reserved_microdollars
    assert event.balance_microdollars == balance
    await fund(plane, account, "5")
    await becomes(plane, 200, person)


async def test_a_stream_far_beyond_its_limit_is_stopped(plane: Plane) -> None:
    person = await plane.person()
    await fund(plane, f"/api/accounts/{person.account_id}", "1")
    text = "[[stub chunks=100000 over=1]]"
    response = await becomes(plane, 200, person, text=text, max_tokens=10, stream=True)
    assert "far more than the 10 tokens" in response.text
    entry = await plane.gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["status"]) == ("failed", 502)
    assert entry["output_tokens"] < 5_000
