"""Every line of bad input, the public pages, anonymous use, and what the ledger says of each."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts.replies import STREAM_WINDOW
from libs.identity.tokens import AUDIENCE, ISSUER, KEY_TYPE
from tests.stacks import Gateway, chat

ALIEN = Ed25519PrivateKey.generate()


def _error(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == status
    assert response.headers["content-type"] == "application/json"
    return str(error["message"])


# Who is calling.


async def test_a_paid_model_needs_a_key(gateway: Gateway) -> None:
    response = await gateway.http.post(f"{gateway.base_url}/chat/completions", json=chat("hi"))
    assert "Authorization" in _error(response, 401)


@pytest.mark.parametrize("attack", ["forged", "expired", "audience", "none", "hs256", "kid", "empty", "basic"])
async def test_a_bad_key_is_never_taken(gateway: Gateway, attack: str) -> None:
    kid = jwt.get_unverified_header(gateway.key)["kid"]
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": gateway.account_id,
        "jti": "x",
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
        "epoch": 0,
    }
    header = {"kid": kid, "typ": KEY_TYPE}
    tokens: dict[str, Callable[[], str]] = {
        "forged": lambda: jwt.encode(claims, ALIEN, "EdDSA", header),
        "expired": lambda: jwt.encode({**claims, "exp": int(time.time()) - 1}, ALIEN, "EdDSA", header),
        "audience": lambda: jwt.encode({**claims, "aud": "other"}, ALIEN, "EdDSA", header),
        "none": lambda: jwt.encode(claims, "", "none", header),
        "hs256": lambda: jwt.encode(claims, "k" * 32, "HS256", header),
        "kid": lambda: jwt.encode(claims, ALIEN, "EdDSA", {**header, "kid": "other"}),
        "empty": lambda: "",
        "basic": lambda: gateway.key,
    }
    token = tokens[attack]()
    scheme = "Basic" if attack == "basic" else "Bearer"
    for model in ("stub/echo", "stub/echo:free"):
        response = await gateway.post(chat("hi", model=model), Authorization=f"{scheme} {token}".strip())
        _error(response, 401)


async def test_a_token_of_a_megabyte_is_refused(gateway: Gateway) -> None:
    response = await gateway.post(chat("hi"), Authorization="Bearer " + "x" * 1_000_000)
    assert response.status_code in (400, 401, 431)
    assert (await gateway.post(chat("hi"))).status_code == 200


async def test_a_revoked_key_stops_working_and_the_others_do_not(gateway: Gateway) -> None:
    key = await gateway.manage("POST", f"/api/accounts/{gateway.account_id}/keys", {"name": "short"})
    bearer = f"Bearer {key['key']}"
    assert (await gateway.post(chat("hi"), Authorization=bearer)).status_code == 200
    await gateway.manage("DELETE", f"/api/keys/{key['id']}")
    async with asyncio.timeout(10):
        while (response := await gateway.post(chat("hi"), Authorization=bearer)).status_code == 200:
            await asyncio.sleep(0.02)
    assert "revoked" in _error(response, 401)
    assert (await gateway.post(chat("hi"))).status_code == 200
    listed = await gateway.manage("GET", f"/api/accounts/{gateway.account_id}/keys")
    assert key["key"] not in orjson.dumps(listed).decode()


async def test_another_organization_s_name_is_refused(gateway: Gateway) -> None:
    response = await gateway.post(chat("hi"), **{"X-KiloCode-OrganizationId": "org_none"})
    assert "not a member" in _error(response, 403)


# What is sent.


@pytest.mark.parametrize(
    ("content", "status", "hint"),
    [
        (b"{", 400, "JSON"),
        (b'{"messages":[{"role":"user","content":"hi"}]}', 400, "`model`"),
        (orjson.dumps(chat("hi", model="no/such")), 400, "GET /models"),
        (orjson.dumps(chat("x" * 1_100_000)), 413, "larger than 1048576 bytes"),
    ],
)
async def test_bad_bodies(gateway: Gateway, content: bytes, status: int, hint: str) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"}
    url = f"{gateway.base_url}/chat/completions"
    assert hint in _error(await gateway.http.post(url, content=content, headers=headers), status)


async def test_a_body_that_grows_over_the_limit(gateway: Gateway) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b"x" * 65_536

    headers = {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"}
    response = await gateway.http.post(f"{gateway.base_url}/chat/completions", content=pieces(), headers=headers)
    _error(response, 413)


async def test_wrong_content_type_route_and_method(gateway: Gateway) -> None:
    url = f"{gateway.base_url}/chat/completions"
    assert "application/json" in _error(await gateway.http.post(url, content=b"{}"), 415)
    assert "/api/gateway" in _error(await gateway.http.get(f"{gateway.base_url}/nowhere"), 404)
    response = await gateway.http.get(url)
    _error(response, 405)
    assert "POST" in response.headers["allow"]


async def test_the_same_api_under_v1(gateway: Gateway) -> None:
    response = await gateway.http.post(
        f"{gateway.base_url}/v1/chat/completions", json=chat("hi"), headers={"Authorization": f"Bearer {gateway.key}"}
    )
    assert response.status_code == 200


# What the provider does.


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "status", "hint"),
    [
        ("[[stub error=400]]", 400, "asked for 400"),
        ("[[stub error=402]]", 503, "not available"),
        ("[[stub error=429]]", 429, "rate limiting"),
        ("[[stub error=500]]", 502, "failed"),
        ("[[stub error=503]]", 503, "overloaded"),
        ("[[stub cut_after=0]]", 502, "failed"),
        ("[[stub garbage=1]]", 502, "broke off"),
    ],
)
async def test_provider_errors_before_the_first_byte(
    gateway: Gateway, text: str, status: int, hint: str, stream: bool
) -> None:
    response = await gateway.post(chat(text, stream=stream))
    assert hint in _error(response, status)
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["status"], entry["cost_microdollars"]) == ("failed", status, 0)


async def test_a_provider_that_refuses_our_key(gateway: Gateway) -> None:
    message = _error(await gateway.post(chat("hi", model="refusing/echo")), 502)
    assert "credentials" in message


async def test_a_provider_that_is_not_there(gateway: Gateway) -> None:
    response = await gateway.post(chat("hi", model="absent/echo"))
    assert "could not be reached" in _error(response, 503)
    assert int(response.headers["retry-after"]) > 0


async def test_a_provider_without_a_key(gateway: Gateway) -> None:
    response = await gateway.post(chat("hi", model="keyless/echo"))
    assert "TEST_UNSET_KEY" in _error(response, 503)
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["attempts"]) == ("rejected", 0)


async def test_a_provider_that_hangs(gateway: Gateway) -> None:
    response = await gateway.post(chat("[[stub hang=1]]", stream=True))
    assert "did not begin" in _error(response, 504)


@pytest.mark.parametrize(
    ("knob", "code", "hint"),
    [("cut_after=3", 502, "broke off"), ("fail_after=3", 502, "failed"), ("hang_after=3", 504, "did not go on")],
)
async def test_provider_errors_in_mid_stream(gateway: Gateway, knob: str, code: int, hint: str) -> None:
    response = await gateway.post(chat(f"[[stub chunks=6 gap_ms=5 {knob}]]", stream=True))
    assert response.status_code == 200
    events = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
    assert len(events) == 4
    last = orjson.loads(events[-1])
    assert last["error"]["code"] == code
    assert hint in last["error"]["message"]
    assert set(last) == {"error"}
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["estimated"]) == ("failed", True)
    assert entry["output_tokens"] > 0


@pytest.mark.parametrize(("wish", "tokens", "estimated"), [("zero", 0, False), ("none", None, True)])
@pytest.mark.parametrize("stream", [False, True])
async def test_zero_usage_is_zero_and_missing_usage_is_estimated(
    gateway: Gateway, wish: str, tokens: int | None, estimated: bool, stream: bool
) -> None:
    response = await gateway.post(chat(f"[[stub usage={wish}]]", stream=stream))
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["outcome"], entry["estimated"]) == ("completed", estimated)
    assert entry["output_tokens"] == tokens if tokens is not None else entry["output_tokens"] > 0


async def test_headers_of_the_client_reach_the_books(gateway: Gateway) -> None:
    headers = {"X-KiloCode-TaskId": "task-7", "X-KiloCode-Version": "9.9", "x-kilocode-mode": "code"}
    response = await gateway.post(chat("hi"), **headers)
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["task_id"], entry["client_version"], entry["mode"]) == ("task-7", "9.9", "code")
    _error(await gateway.post(chat("hi"), **{"X-KiloCode-TaskId": "x" * 300}), 400)


# Pages that need no key.


async def test_public_pages(gateway: Gateway) -> None:
    base = gateway.base_url
    endpoints = (await gateway.http.get(f"{base}/models/stub/echo/endpoints")).json()["data"]["endpoints"]
    assert endpoints[0]["tag"] == "stub"
    missing = await gateway.http.get(f"{base}/models/no/such/endpoints")
    assert (missing.status_code, missing.json()) == (404, {"error": {"message": "Not Found", "code": 404}})
    providers = (await gateway.http.get(f"{base}/providers")).json()["data"]
    assert {"name": "Stub", "slug": "stub"} in providers


# Free models.


async def test_two_hundred_free_requests_an_hour_and_not_one_more(gateway: Gateway) -> None:
    async def ask(number: int) -> Any:
        return await gateway.http.post(
            f"{gateway.base_url}/chat/completions", json=chat(f"{number}", model="stub/echo:free")
        )

    responses = await asyncio.gather(*(ask(number) for number in range(230)))
    counts = Counter(response.status_code for response in responses)
    assert counts == {200: 200, 429: 30}
    refused = next(response for response in responses if response.status_code == 429)
    assert int(refused.headers["retry-after"]) > 3_000
    assert refused.headers["ratelimit-policy"] == '"free";q=200;w=3600'
    assert refused.headers["ratelimit"].startswith('"free";r=0;t=')
    served = next(response for response in responses if response.status_code == 200)
    assert '"free";r=' in served.headers["ratelimit"]
    entry = await gateway.entry(served.headers["x-request-id"])
    assert (entry["subject"], entry["account_id"], entry["cost_microdollars"]) == ("ip:127.0.0.1", None, 0)
    signed_in = await gateway.post(chat("hi", model="stub/echo:free"))
    assert signed_in.status_code == 429
    assert (await gateway.post(chat("hi"))).status_code == 200


@pytest.mark.parametrize(
    "asked", [{"provider": {"ignore": ["x" * 1_000_000]}}, {"model": "x" * 1_040_000 + ":free"}], ids=["names", "model"]
)
async def test_names_of_a_megabyte_are_refused_and_harm_nobody(gateway: Gateway, asked: dict[str, Any]) -> None:
    """A record that the broker refuses would end all that an idempotent producer sends to that partition."""
    body = chat("hi", model="no/such:free") | asked
    refused = await gateway.http.post(f"{gateway.base_url}/chat/completions", json=body)
    assert refused.status_code == 400, refused.text[:500]
    free = await gateway.http.post(f"{gateway.base_url}/chat/completions", json=chat("hi", model="stub/echo:free"))
    assert free.status_code in (200, 429)
    assert (await gateway.post(chat("hi"))).status_code == 200


async def test_a_long_stream_arrives_whole(gateway: Gateway) -> None:
    """It is ten times what relay and ingress hold of a stream that is not read yet."""
    body = chat("go on [[stub chunks=4000]]", stream=True)
    response = await gateway.post(body)
    lines = response.text.split("\n")
    assert lines[-4:] == [f"id: {len(response.content)}", "data: [DONE]", "", ""]
    assert sum(line.startswith("data: {") for line in lines) >= 4_000
    assert len(response.text) > 10 * STREAM_WINDOW / 2
    assert (await gateway.entry(response.headers["x-request-id"]))["output_tokens"] == 4_000
