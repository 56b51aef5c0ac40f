"""``Idempotency-Key``: however often a request is sent, it is run and charged once, and everybody has the answer."""

import asyncio
import re
import secrets
from typing import Any

import httpx
import openai
import pytest
from pydantic_core import to_json
from uuid_utils import uuid7

from contracts import topics
from contracts.clock import now_ms
from contracts.idempotency import KeyClaimed
from contracts.requests import Surface
from contracts.services import INGRESS
from libs.bus.producer import Producer, settle
from libs.bus.reading import read_to_end
from libs.sealing.kept import ClientKey
from services.ingress.core.idempotency import fingerprint
from tests.e2e.cutting import cutting
from tests.stacks import Gateway, chat

BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": chat("hello"),
    "/responses": {"model": "stub/echo", "input": "hello"},
    "/messages": {"model": "stub/echo", "max_tokens": 99, "messages": chat("hello")["messages"]},
    "/embeddings": {"model": "stub/embed", "input": "hello"},
}
STREAMED = ("/chat/completions", "/responses", "/messages")


def _key() -> str:
    return secrets.token_hex(8)


async def _post(gateway: Gateway, body: Any, key: str, path: str = "/chat/completions", **more: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {gateway.key}", "idempotency-key": key, **more}
    return await gateway.http.post(f"{gateway.base_url}{path}", json=body, headers=headers)


async def _calls(gateway: Gateway) -> int:
    return (await gateway.stub_stats()).get("requests", 0)


def _is_again(answer: httpx.Response, first: httpx.Response) -> bool:
    assert (answer.status_code, answer.content) == (first.status_code, first.content)
    assert answer.headers["content-type"] == first.headers["content-type"]
    assert answer.headers["x-request-id"] == first.headers["x-request-id"]
    return bool(answer.headers.get("idempotent-replayed") == "true")


@pytest.mark.parametrize(
    ("path", "stream"), [*((path, False) for path in BODIES), *((path, True) for path in STREAMED)]
)
async def test_the_same_again_is_the_same_answer_and_one_call(gateway: Gateway, path: str, stream: bool) -> None:
    body, key = {**BODIES[path], **({"stream": True} if stream else {})}, _key()
    before = await _calls(gateway)
    first = await _post(gateway, body, key, path)
    assert first.status_code == 200
    assert "idempotent-replayed" not in first.headers
    assert _is_again(await _post(gateway, body, key, path), first)
    assert await _calls(gateway) == before + 1
    entry = await gateway.entry(first.headers["x-request-id"])
    assert entry["outcome"] == "completed"
    # Another key is another request.
    assert (await _post(gateway, body, _key(), path)).headers["x-request-id"] != first.headers["x-request-id"]


async def test_many_at_once_are_one(gateway: Gateway) -> None:
    body, key = chat("[[stub chunks=10 gap_ms=20]]", stream=True), _key()
    before = await _calls(gateway)
    answers = await asyncio.gather(*(_post(gateway, body, key) for _ in range(8)))
    assert len({answer.content for answer in answers}) == 1
    assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False] + [True] * 7
    assert await _calls(gateway) == before + 1


async def test_another_body_is_refused(gateway: Gateway) -> None:
    key = _key()
    first = await _post(gateway, chat("one"), key)
    for body, path in ((chat("two"), "/chat/completions"), (BODIES["/responses"], "/responses")):
        other = await _post(gateway, body, key, path)
        assert (other.status_code, other.json()["error"]["metadata"]["error_code"]) == (422, "idempotency_key_reused")
    assert _is_again(await _post(gateway, chat("one"), key), first)


async def test_a_key_is_free_again_where_nothing_was_charged(gateway: Gateway) -> None:
    key, before = _key(), await _calls(gateway)
    assert (await _post(gateway, chat("hi", model="stub/none"), key)).status_code == 400
    failed = await _post(gateway, chat("[[stub error=500]]"), key)
    assert failed.status_code >= 500
    answer = await _post(gateway, chat("hi"), key)
    assert (answer.status_code, "idempotent-replayed" in answer.headers) == (200, False)
    assert _is_again(await _post(gateway, chat("hi"), key), answer)
    assert await _calls(gateway) >= before + 2


async def test_a_key_is_its_api_key_s_own(gateway: Gateway) -> None:
    key = _key()
    mine = await _post(gateway, chat("hi"), key)
    other = await gateway.manage("POST", f"/api/accounts/{gateway.account_id}/keys", {})
    theirs = await _post(gateway, chat("other"), key, authorization=f"Bearer {other['key']}")
    assert (theirs.status_code, "idempotent-replayed" in theirs.headers) == (200, False)
    assert theirs.headers["x-request-id"] != mine.headers["x-request-id"]


async def test_keys_have_a_form(gateway: Gateway) -> None:
    for wrong in ("", "x" * 256, "\x7f"):
        assert (await _post(gateway, chat("hi"), wrong)).status_code == 400
    assert (await _post(gateway, chat("hi"), "x" * 255)).status_code == 200
    leaving = {"x-sluice-on-disconnect": "cancel"}
    assert (await _post(gateway, chat("hi"), _key(), **leaving)).status_code == 400


async def test_a_client_without_a_key_asks_each_time(gateway: Gateway) -> None:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.3")) as nobody:
        url, body = f"{gateway.base_url}/chat/completions", chat("hi", model="stub/echo:free")
        answers = [await nobody.post(url, json=body, headers={"idempotency-key": "a"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert not any("idempotent-replayed" in answer.headers for answer in answers)


async def test_a_stream_goes_on_with_the_same_request(gateway: Gateway) -> None:
    body, key = chat("[[stub chunks=12]]", stream=True), _key()
    assert (await _post(gateway, body, key, **{"last-event-id": "10"})).status_code == 404
    whole = (await _post(gateway, body, key)).content
    for at in (1, len(whole) // 2, len(whole) - 3):
        assert (await _post(gateway, body, key, **{"last-event-id": str(at)})).content == whole[at:]


async def test_a_kept_stream_has_an_id_and_opens_with_its_key(gateway: Gateway) -> None:
    body, key = chat("[[stub chunks=12]]", stream=True), _key()
    whole = await _post(gateway, body, key)
    again = await _post(gateway, body, key)
    assert again.headers["x-sluice-stream"] == whole.headers["x-sluice-stream"]
    url = f"{gateway.base_url}/streams/{whole.headers['x-sluice-stream']}"
    headers = {"authorization": f"Bearer {gateway.key}", "last-event-id": "20"}
    for given, status in (({}, 400), ({"idempotency-key": "x"}, 404), ({"idempotency-key": key}, 200)):
        found = await gateway.http.get(url, headers={**headers, **given})
        assert found.status_code == status
    assert found.content == whole.content[20:]


async def test_a_kept_stream_goes_on_without_its_client_and_ends_where_that_is_asked(gateway: Gateway) -> None:
    body, key = chat("[[stub chunks=2000 gap_ms=50]]", stream=True), _key()
    headers = {"authorization": f"Bearer {gateway.key}", "idempotency-key": key}
    async with gateway.http.stream("POST", f"{gateway.base_url}/chat/completions", json=body, headers=headers) as left:
        await anext(left.aiter_raw())
    joined = asyncio.create_task(_post(gateway, body, key))
    url = f"{gateway.base_url}/streams/{left.headers['x-sluice-stream']}"
    assert (await gateway.http.delete(url, headers={"authorization": f"Bearer {gateway.key}"})).status_code == 204
    answer = await joined
    assert answer.headers["x-request-id"] == left.headers["x-request-id"]
    assert '"code":499' in answer.text
    assert (await gateway.entry(answer.headers["x-request-id"]))["outcome"] == "cancelled"


async def test_a_claim_whose_request_never_came_keeps_nobody_out(gateway: Gateway) -> None:
    """As an ingress leaves it that is killed between the two."""
    producer = Producer(gateway.stack.bus, INGRESS)
    await producer.start()
    for begins_ms, key in ((-5_000, _key()), (-2_500, _key())):
        owner = f"acct:{gateway.account_id}"
        derived = ClientKey.derive(gateway.key, owner, key)
        body = to_json(chat("hi"))
        claim = KeyClaimed(
            locator=derived.locator,
            owner=owner,
            fingerprint=fingerprint(derived, Surface.CHAT_COMPLETIONS, "application/json", body),
            request_id=str(uuid7()),
            subject=owner,
            partition=0,
            offset=0,
            claimed_at_ms=now_ms() - 1_000,
            begins_by_ms=now_ms() + begins_ms,
        )
        await settle([await producer.publish(topics.IDEMPOTENCY, claim)])
        headers = {"authorization": f"Bearer {gateway.key}", "idempotency-key": key, "content-type": "application/json"}
        url = f"{gateway.base_url}/chat/completions"
        answers = await asyncio.gather(*(gateway.http.post(url, content=body, headers=headers) for _ in range(3)))
        assert len({answer.content for answer in answers}) == 1
        assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False, True, True]
        assert claim.request_id not in {answer.headers["x-request-id"] for answer in answers}
    await producer.stop()


async def test_the_log_shows_no_kept_answer(gateway: Gateway) -> None:
    secrets_ = {f"key-{_key()}"}
    for stream in (False, True):
        answer = await _post(gateway, chat(f"say {secrets_}", stream=stream), next(iter(secrets_)) + str(stream))
        # The answer's own ID is nowhere else.
        secrets_.add(re.findall(r"chatcmpl-[0-9a-f]{24}", answer.text)[0])
    assert len(secrets_) == 3
    for topic in (topics.KEPT_REPLIES, topics.IDEMPOTENCY, topics.REPLIES, topics.ATTEMPTS):
        found = [raw async for raw in read_to_end(gateway.stack.bus, topic)]
        assert found
        for raw in found:
            shown = b"".join([raw.value or b"", *(content for _, content in raw.headers)])
            assert not any(secret.encode() in shown for secret in secrets_)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_sdk_s_retry_after_a_cut_has_the_answer_and_pays_once(gateway: Gateway, stream: bool) -> None:
    """openai sends no key by itself; one that is given goes along with each of its retries."""
    before, cuts = await _calls(gateway), [1, 300]

    async def cut(request: Any) -> None:
        if cuts:
            request.headers["x-cut"] = str(cuts.pop(0))

    async with (
        cutting(gateway.base_url) as proxy,
        openai.DefaultAsyncHttpxClient(event_hooks={"request": [cut]}) as http,
        openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{proxy.port}/api/gateway",
            api_key=gateway.key,
            max_retries=len(cuts),
            http_client=http,
        ) as client,
    ):
        headers = {"Idempotency-Key": _key()}
        if stream:
            # A stream that has begun is not asked for again by the SDK.
            cuts.pop()
            events = await client.chat.completions.create(**chat("hello"), stream=True, extra_headers=headers)
            text = "".join([event.choices[0].delta.content or "" async for event in events if event.choices])
        else:
            answer = await client.chat.completions.create(**chat("hello"), extra_headers=headers)
            text = answer.choices[0].message.content or ""
    assert (text != "", cuts) == (True, [])
    assert await _calls(gateway) == before + 1
