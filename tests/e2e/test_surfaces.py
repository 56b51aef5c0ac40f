"""What each surface is particular in, through the real SDKs; what holds for all of them is in `test_matrix`."""

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.e2e.plane import Plane
from tests.faults.books import audited
from tests.stacks import Gateway

MODELS = ("stub/echo", "claude/echo", "gemini/echo", "converse/echo", "responses/echo")
"""Each at a provider with another protocol: chat completions, Messages, Gemini, Bedrock's Converse, Responses."""
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def _openai(gateway: Gateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0)


def _anthropic(gateway: Gateway, key: str | None = None) -> anthropic.AsyncAnthropic:
    """It adds ``/v1/messages`` to its base URL, and sends its key as ``x-api-key``."""
    return anthropic.AsyncAnthropic(base_url=gateway.base_url, api_key=key or gateway.key, max_retries=0)


async def _sent(gateway: Gateway) -> Any:
    return (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()


def _limit(sent: Any) -> Any:
    """Of the answer's tokens, as each protocol says it."""
    for holder, name in ((sent.get("generationConfig"), "maxOutputTokens"), (sent.get("inferenceConfig"), "maxTokens")):
        if holder:
            return holder[name]
    return sent.get("max_output_tokens") or sent["max_tokens"]


@pytest.mark.parametrize("model", MODELS)
async def test_responses(gateway: Gateway, model: str) -> None:
    async with _openai(gateway) as client:
        raw = await client.responses.with_raw_response.create(model=model, input="hello", instructions="Be brief.")
        whole = raw.parse()
        async with client.responses.stream(model=model, input="hello", instructions="Be brief.") as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
    assert whole.output_text == final.output_text
    assert len(whole.output_text.split()) == 8
    assert (whole.status, whole.model, final.status) == ("completed", model, "completed")
    assert whole.usage is not None
    assert final.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens == 8
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    entry = await gateway.entry(raw.headers["x-request-id"])
    assert (entry["surface"], entry["outcome"], entry["output_tokens"]) == ("responses", "completed", 8)


@pytest.mark.parametrize("model", MODELS)
async def test_messages(gateway: Gateway, model: str) -> None:
    ask: Any = {
        "model": model,
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hello"}],
    }
    async with _anthropic(gateway) as client:
        raw = await client.messages.with_raw_response.create(**ask)
        whole = await raw.parse()
        async with client.messages.stream(**ask) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
    assert whole.content[0].type == "text"
    assert text == whole.content[0].text
    assert len(text.split()) == 8
    assert (whole.stop_reason, final.stop_reason, whole.model, final.model) == ("end_turn", "end_turn", model, model)
    assert (final.usage.input_tokens, final.usage.output_tokens) == (whole.usage.input_tokens, 8)
    entry = await gateway.entry(raw.headers["x-request-id"])
    assert (entry["surface"], entry["output_tokens"], entry["input_tokens"]) == (
        "messages",
        8,
        whole.usage.input_tokens,
    )


@pytest.mark.parametrize("model", MODELS)
async def test_images_and_limits_reach_the_provider(gateway: Gateway, model: str) -> None:
    async with _openai(gateway) as client:
        content: Any = [
            {"type": "input_text", "text": "what"},
            {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        ]
        await client.responses.create(model=model, input=[{"role": "user", "content": content}], max_output_tokens=77)
        sent = await _sent(gateway)
        assert "iVBORw0KGgo=" in json.dumps(sent)
        assert _limit(sent) == 77
    async with _anthropic(gateway) as claude:
        image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
        blocks: Any = [image, {"type": "text", "text": "what", "cache_control": {"type": "ephemeral"}}]
        await claude.messages.create(model=model, max_tokens=66, messages=[{"role": "user", "content": blocks}])
        sent = await _sent(gateway)
        assert "iVBORw0KGgo=" in json.dumps(sent)
        assert (model not in ("stub/echo", "claude/echo")) or "ephemeral" in json.dumps(sent)
        assert model != "converse/echo" or "cachePoint" in json.dumps(sent)
        assert _limit(sent) == 66


class City(BaseModel):
    """What is asked for."""

    name: str


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("stub/echo", "response_format"),
        ("claude/echo", "output_config"),
        ("gemini/echo", "generationConfig"),
        ("converse/echo", "outputConfig"),
        ("responses/echo", "text"),
    ],
)
async def test_structured_output_is_asked_for_in_the_provider_s_words(gateway: Gateway, model: str, field: str) -> None:
    async with _openai(gateway) as client:
        answer = await client.responses.parse(model=model, input="hi", text_format=City)
    assert answer.output_parsed == City(name="x")
    asked = json.dumps((await _sent(gateway))[field])
    assert "json" in asked
    assert "properties" in asked
    assert "name" in asked


async def test_thoughts_and_cached_tokens_come_back_and_are_priced(gateway: Gateway) -> None:
    ask: Any = {"model": "claude/echo", "max_tokens": 5_000, "thinking": {"type": "enabled", "budget_tokens": 2_048}}
    said: Any = [{"role": "user", "content": "[[stub think=1 cache=1000]]"}]
    async with _anthropic(gateway) as client:
        raw = await client.messages.with_raw_response.create(messages=said, **ask)
        message = await raw.parse()
        first: Any = message.content[0]
        assert (first.type, first.thinking, first.signature) == ("thinking", "Let me see.", "c2ln")
        assert message.usage.cache_read_input_tokens == 1_000
    entry = await gateway.entry(raw.headers["x-request-id"])
    fresh = message.usage.input_tokens
    assert (entry["input_tokens"], entry["cache_read_tokens"]) == (fresh + 1_000, 1_000)
    assert entry["cost_microdollars"] == (fresh * 3_000_000 + 1_000 * 300_000 + 8 * 15_000_000 + 500_000) // 1_000_000
    async with _openai(gateway) as chat:
        answer: Any = await chat.chat.completions.create(model="claude/echo", messages=said)
        assert answer.choices[0].message.reasoning_content == "Let me see."
        assert answer.usage.prompt_tokens_details.cached_tokens == 1_000
        response = await chat.responses.create(model="claude/echo", input="[[stub think=1]]")
        assert response.output[0].type == "reasoning"


async def test_a_task_s_conversation_is_marked_for_anthropic_s_cache(gateway: Gateway) -> None:
    body: Any = {
        "model": "claude/echo",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    }
    assert (await gateway.post(body, **{"X-KiloCode-TaskId": "t"})).status_code == 200
    sent = await _sent(gateway)
    assert sent["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert sent["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert (await gateway.post(body)).status_code == 200
    assert "cache_control" not in json.dumps(await _sent(gateway))


async def test_anthropic_s_beta_features_reach_who_speaks_its_protocol(gateway: Gateway) -> None:
    """Claude Code sends some with each request; the 1M context and interleaved thinking depend on them."""
    question: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    asked = {"anthropic-beta": "context-1m-2025-08-07, interleaved-thinking-2025-05-14"}
    async with _anthropic(gateway) as client:
        await client.messages.create(model="claude/echo", **question, extra_headers=asked)
        sent = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/headers")).json()
        assert sent["anthropic-beta"] == "context-1m-2025-08-07,interleaved-thinking-2025-05-14"
        other = await client.messages.with_raw_response.create(model="stub/echo", **question, extra_headers=asked)
        assert "anthropic-beta" in other.headers["x-sluice-dropped"]
        sent = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/headers")).json()
        assert "anthropic-beta" not in sent
        with pytest.raises(anthropic.BadRequestError, match="anthropic-beta"):
            await client.messages.create(model="claude/echo", **question, extra_headers={"anthropic-beta": "a b;c"})


async def test_embeddings(gateway: Gateway) -> None:
    async with _openai(gateway) as client:
        raw = await client.embeddings.with_raw_response.create(
            model="stub/embed", input=["one two three", "four"], encoding_format="float"
        )
    found = raw.parse()
    assert [item.embedding for item in found.data] == [[0.25, -0.5]] * 2
    assert found.model == "stub/embed"
    entry = await gateway.entry(raw.headers["x-request-id"])
    assert (entry["surface"], entry["input_tokens"], entry["output_tokens"]) == ("embeddings", 4, 0)


@pytest.mark.parametrize("path", ["/fim/completions", "/v1/fim/completions"])
@pytest.mark.parametrize("stream", [False, True])
async def test_fill_in_the_middle(gateway: Gateway, path: str, stream: bool) -> None:
    body = {
        "model": "stub/echo",
        "prompt": "def add(a, b):",
        "suffix": "return c",
        "max_tokens": 5_000,
        "stream": stream,
    }
    headers = {"Authorization": f"Bearer {gateway.key}"}
    response = await gateway.http.post(f"{gateway.base_url}{path}", json=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.text.endswith("data: [DONE]\n\n") == stream
    sent = await _sent(gateway)
    assert (sent["max_tokens"], sent["suffix"]) == (1_000, "return c")
    entry = await gateway.entry(response.headers["x-request-id"])
    assert (entry["surface"], entry["output_tokens"]) == ("fim.completions", 8)
    alone = gateway.base_url.replace("/api/gateway", "/api/fim/completions")
    assert (await gateway.http.post(alone, json=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_provider_is_not_sent_is_told_in_a_header(gateway: Gateway, stream: bool) -> None:
    body = {
        "messages": [{"role": "user", "content": "hi"}],
        "stream": stream,
        "seed": 7,
        "n": 1,
        "logit_bias": {"1": 1},
    }
    expected = {"stub/echo": None, "claude/echo": "logit_bias, seed", "gemini/echo": "logit_bias"}
    for model, dropped in expected.items():
        response = await gateway.post({**body, "model": model, "bad\nname": 1})
        assert response.status_code == 200
        assert response.headers.get("x-sluice-dropped") == dropped
    headers = {"Authorization": f"Bearer {gateway.key}"}
    odd = {"model": "gemini/echo", "max_tokens": 5, "messages": body["messages"], "container": "c", "stream": stream}
    response = await gateway.http.post(f"{gateway.base_url}/messages", json=odd, headers=headers)
    assert response.headers["x-sluice-dropped"] == "container"


async def test_who_has_no_such_thing_says_so(gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}"}
    for path, body in (("embeddings", {"input": "hi"}), ("fim/completions", {"prompt": "hi"})):
        asked = {"model": "claude/echo", **body}
        response = await gateway.http.post(f"{gateway.base_url}/{path}", json=asked, headers=headers)
        assert response.status_code == 400, path
        assert "Speaks Messages" in response.json()["error"]["message"]
    both = {"model": "gemini/echo", "input": ["a", "b"]}
    response = await gateway.http.post(f"{gateway.base_url}/embeddings", json=both, headers=headers)
    assert [one["embedding"] for one in response.json()["data"]] == [[0.25, -0.5]] * 2


async def test_errors_are_those_that_each_sdk_knows(gateway: Gateway) -> None:
    async with _anthropic(gateway) as client:
        ask: Any = {"max_tokens": 10, "messages": [{"role": "user", "content": "[[stub error=429]]"}]}
        for model in MODELS:
            with pytest.raises(anthropic.RateLimitError):
                await client.messages.create(model=model, **ask)
        with pytest.raises(anthropic.BadRequestError, match="GET /models"):
            await client.messages.create(model="no/such", **ask)
        unknown: Any = [{"role": "user", "content": [{"type": "container_upload", "file_id": "x"}]}]
        with pytest.raises(anthropic.BadRequestError, match="container_upload"):
            await client.messages.create(model="stub/echo", max_tokens=10, messages=unknown)
    async with _anthropic(gateway, "nonsense") as stranger:
        with pytest.raises(anthropic.AuthenticationError):
            await stranger.messages.create(model="stub/echo", **ask)
    async with _openai(gateway) as chat:
        with pytest.raises(openai.BadRequestError, match="whole conversation"):
            await chat.responses.create(model="stub/echo", input="hi", previous_response_id="resp_1")
        with pytest.raises(openai.BadRequestError, match="add a key of your own for stub"):
            await chat.chat.completions.create(
                model="stub/echo", messages=[{"role": "user", "content": "hi"}], service_tier="priority"
            )
        with pytest.raises(openai.BadRequestError, match="only `function` and `custom` tools"):
            await chat.responses.create(model="stub/echo", input="hi", tools=[{"type": "web_search"}])


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_that_fails_ends_with_each_surface_s_own_error(gateway: Gateway, model: str) -> None:
    said = "[[stub fail_after=2]]"
    async with _anthropic(gateway) as client:
        ask: Any = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": said}]}
        with pytest.raises(anthropic.APIStatusError, match="asked to fail"):
            async with client.messages.stream(**ask) as stream:
                await stream.get_final_message()
    async with _openai(gateway) as chat:
        with pytest.raises(openai.APIError, match="asked to fail") as raised:
            async with chat.responses.stream(model=model, input=said) as response:
                await response.get_final_response()
        assert raised.value.code == "502"


async def test_a_client_that_leaves_stops_the_provider_on_every_surface(gateway: Gateway) -> None:
    before = (await gateway.stub_stats()).get("cancelled", 0)
    async with _openai(gateway) as client:
        stream = await client.responses.create(model="stub/echo", input="[[stub chunks=500 gap_ms=30]]", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    async with asyncio.timeout(20):
        while (await gateway.stub_stats()).get("cancelled", 0) == before:
            await asyncio.sleep(0.05)
    report = await audited(gateway)
    assert report["outcomes"]["cancelled"] >= 1


async def test_a_policy_holds_on_every_surface(gateway: Gateway) -> None:
    plane = Plane(gateway, 1)
    owner = await plane.person()
    organization = (await plane.call("POST", "/api/organizations", {"name": "S"}, key=owner.key))["id"]
    await plane.call("PUT", f"/api/organizations/{organization}/policy", {"model_allow": ["claude/*"]}, key=owner.key)
    await plane.becomes(400, owner.key, organization)
    headers = {"Authorization": f"Bearer {owner.key}", "X-KiloCode-OrganizationId": organization}
    bodies: dict[str, Any] = {
        "chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
        "responses": {"input": "hi"},
        "messages": {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
        "embeddings": {"input": "hi"},
        "fim/completions": {"prompt": "hi"},
    }

    async def status(path: str) -> int:
        body = {"model": "stub/echo", **bodies[path]}
        return (await gateway.http.post(f"{gateway.base_url}/{path}", json=body, headers=headers)).status_code

    async with asyncio.timeout(20):
        while await status("chat/completions") != 403:
            await asyncio.sleep(0.05)
    assert {path: await status(path) for path in bodies} == dict.fromkeys(bodies, 403)
