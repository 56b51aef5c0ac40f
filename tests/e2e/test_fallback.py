"""One model at several providers: the next is asked where one fails without a byte, and never for a user's own key."""

import re
from typing import Any

import httpx
import pytest

from tests.e2e.plane import Plane
from tests.stacks import Gateway, chat, until


async def _ask(gateway: Gateway, way: str, *, stream: bool = False, **more: Any) -> httpx.Response:
    return await gateway.post(chat("hello", model=f"pair/{way}", stream=stream, **more))


WAYS = [
    ("429", "first=429"),
    ("500", "first=502"),
    ("cut", "first=502"),
    ("garbage", "first=502"),
    ("absent", "absent=503, refusing=502"),
]
STREAMED = [(way, tried, True) for way, tried in (*WAYS, ("hang", "first=504"), ("failing", "first=502"))]
"""Only a stream has a time by which its first byte must come, and a first event that may be an error."""


@pytest.mark.parametrize(("way", "tried", "stream"), [*((way, tried, False) for way, tried in WAYS), *STREAMED])
async def test_the_next_provider_is_asked_in_each_way_of_failing(
    gateway: Gateway, way: str, tried: str, stream: bool
) -> None:
    response = await _ask(gateway, way, stream=stream)
    assert response.status_code == 200, response.text
    assert (response.headers["x-sluice-provider"], response.headers["x-sluice-tried"]) == ("stub", tried)
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["provider_id"], entry["upstream_model"], entry["outcome"]) == ("stub", "echo-1", "completed")
    assert (entry["attempts"], entry["tried"]) == (tried.count("=") + 1, tried)
    assert entry["cost_microdollars"] == 2 * entry["input_tokens"] + 8 * entry["output_tokens"]
    assert entry["reserved_microdollars"] >= entry["cost_microdollars"]


async def test_what_is_wrong_with_the_request_is_not_tried_elsewhere(gateway: Gateway) -> None:
    response = await _ask(gateway, "400")
    assert response.status_code == 400
    assert "x-sluice-tried" not in response.headers
    assert response.headers["x-sluice-provider"] == "first"


async def test_after_the_first_byte_there_is_no_other_provider(gateway: Gateway) -> None:
    response = await _ask(gateway, "late", stream=True)
    assert response.status_code == 200
    assert '"error"' in response.text
    assert "[DONE]" not in response.text
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["provider_id"], entry["attempts"], entry["outcome"]) == ("first", 1, "failed")


async def test_a_client_chooses_the_order_and_may_want_no_other(gateway: Gateway) -> None:
    response = await _ask(gateway, "500", provider={"order": ["nobody", "stub"]})
    assert (response.status_code, response.headers["x-sluice-provider"]) == (200, "stub")
    assert "x-sluice-tried" not in response.headers
    sent = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
    assert "provider" not in sent
    assert (await _ask(gateway, "500", provider={"allow_fallbacks": False})).status_code == 502
    for wrong in ("stub", {"order": "stub"}, {"order": [1]}, {"allow_fallbacks": "no"}):
        assert (await _ask(gateway, "500", provider=wrong)).status_code == 400


async def test_a_policy_leaves_providers_out(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "F"}, key=owner.key))["id"]
    await plane.becomes(400, owner.key, organization)

    async def status(allow: list[str]) -> tuple[int, str | None]:
        path = f"/api/organizations/{organization}/policy"
        version = (await plane.call("PUT", path, {"provider_allow": allow}, key=owner.key))["version"]
        blocked = {"model": "no/such", "messages": [{"role": "user", "content": "x"}]}

        async def known() -> bool | None:
            headers = {"Authorization": f"Bearer {owner.key}", "X-KiloCode-OrganizationId": organization}
            response = await gateway.post({**blocked, "model": "claude/echo"}, **headers)
            metadata = response.json().get("error", {}).get("metadata", {})
            return metadata.get("policyVersion") == version or None

        await until(known, what=f"version {version} of the policy")
        response = await plane.ask(owner.key, organization_id=organization, model="pair/500")
        return response.status_code, response.headers.get("x-sluice-tried")

    assert await status(["stub"]) == (200, None)
    assert await status(["first"]) == (502, None)


async def test_a_user_s_own_key_is_never_fallen_back_from(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    person = await plane.person()
    path = f"/api/accounts/{person.account_id}/provider-keys/first"
    await plane.call("PUT", path, {"key": "sk-stub-mine"}, key=person.key)

    async def own() -> httpx.Response | None:
        response = await plane.ask(person.key, model="pair/429")
        return response if response.status_code == 429 else None

    response = await until(own, what="the provider's own refusal")
    assert "x-sluice-tried" not in response.headers
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["byok"], entry["provider_id"], entry["attempts"]) == (True, "first", 1)


async def test_the_endpoints_of_a_model_are_listed_with_their_prices(gateway: Gateway) -> None:
    listed = (await gateway.http.get(f"{gateway.base_url}/models/pair/429/endpoints")).json()["data"]["endpoints"]
    assert [(one["tag"], one["pricing"]["prompt"]) for one in listed] == [("first", "0.00002"), ("stub", "0.000002")]
    models = (await gateway.http.get(f"{gateway.base_url}/models")).json()["data"]
    assert sum(model["id"] == "pair/429" for model in models) == 1


async def test_a_key_that_is_refused_rests_and_the_other_answers(gateway: Gateway) -> None:
    """The first key is wrong, and has nearly all the weight."""

    async def asked() -> str:
        answer = await gateway.post(chat("hi", model="several/echo"))
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-sluice-provider"] == "several"
        return str(answer.headers.get("x-sluice-tried", ""))

    assert await asked() in ("several=502", "")

    async def rests() -> bool | None:
        return await asked() == "" or None

    await until(rests, what="answer with the other key alone")
    assert [await asked() for _ in range(5)] == [""] * 5


async def test_a_key_that_has_used_up_its_quota_is_used_no_more(gateway: Gateway) -> None:
    answers: list[httpx.Response] = []

    async def refused() -> httpx.Response | None:
        answers.append(await gateway.post(chat("hi", model="metered/echo")))
        return answers[-1] if answers[-1].status_code != 200 else None

    answer = await until(refused, what="a quota that is used up")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "metered have used up their quotas" in answer.json()["error"]["message"]
    page = await gateway.metrics("key-vault")
    found = {
        name: float(value)
        for name, value in re.findall(
            r'sluice_provider_key_(\w+)\{[^}]*gen_ai_provider_name="metered"[^}]*\} (\S+)', page
        )
    }
    assert found["used"] >= found["quota"] == 2
    assert len(answers) > 2
