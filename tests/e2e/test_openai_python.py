"""The openai SDK for Python, pointed at the base URL."""

import asyncio
from typing import Any

import openai
import pytest

from tests.stacks import Gateway

TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def _client(gateway: Gateway, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key or gateway.key, max_retries=0)


def _say(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_a_whole_completion(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        raw = await client.chat.completions.with_raw_response.create(model="stub/echo", messages=_say("hello"))
    answer = raw.parse()
    assert answer.model == "stub/echo"
    assert answer.choices[0].finish_reason == "stop"
    assert len((answer.choices[0].message.content or "").split()) == 8
    assert answer.usage is not None
    entry = await gateway.entry(raw.headers["x-request-id"])
    assert (entry["input_tokens"], entry["output_tokens"]) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert entry["cost_microdollars"] == 2 * answer.usage.prompt_tokens + 8 * answer.usage.completion_tokens
    assert (entry["outcome"], entry["subject"]) == ("completed", f"acct:{gateway.account_id}")


async def test_a_streamed_completion_ends_with_usage_if_the_client_asks(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        ask: Any = {"model": "stub/echo", "messages": _say("hello"), "stream": True}
        plain = [chunk async for chunk in await client.chat.completions.create(**ask)]
        options: Any = {"include_usage": True}
        chunks = [chunk async for chunk in await client.chat.completions.create(**ask, stream_options=options)]
        whole = await client.chat.completions.create(model="stub/echo", messages=_say("hello"))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == whole.choices[0].message.content
    assert [chunk.choices for chunk in chunks[:-1]] == [chunk.choices for chunk in plain]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.model == "stub/echo" for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_pass_through(gateway: Gateway, stream: bool) -> None:
    async with _client(gateway) as client:
        ask: Any = {"model": "stub/echo", "messages": _say("[[stub tool=1]]"), "tools": [TOOL]}
        if stream:
            chunks = [chunk async for chunk in await client.chat.completions.create(stream=True, **ask)]
            calls: Any = [call for c in chunks if c.choices for call in c.choices[0].delta.tool_calls or []]
        else:
            calls = (await client.chat.completions.create(**ask)).choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [("weather", '{"city":"Graz"}')]


async def test_errors_are_openai_s(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        with pytest.raises(openai.BadRequestError, match="not served here"):
            await client.chat.completions.create(model="no/such", messages=_say("hi"))
        with pytest.raises(openai.RateLimitError) as limited:
            await client.chat.completions.create(model="stub/echo", messages=_say("[[stub error=429]]"))
        assert limited.value.response.headers["retry-after"] == "7"
    async with _client(gateway, "sk-nonsense") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="stub/echo", messages=_say("hi"))


async def test_an_error_inside_a_stream_is_raised(gateway: Gateway) -> None:
    async with _client(gateway) as client:
        stream = await client.chat.completions.create(
            model="stub/echo", messages=_say("[[stub chunks=5 fail_after=2]]"), stream=True
        )
        received = 0
        with pytest.raises(openai.APIError, match="failed"):
            async for _chunk in stream:
                received += 1
        assert received == 2


async def test_models_are_listed_without_a_key(gateway: Gateway) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="unused") as client:
        models = {model.id: model async for model in client.models.list()}
    assert {"stub/echo", "stub/echo:free"} <= set(models)
    for name, prompt, completion in (("stub/echo", "0.000002", "0.000008"), ("stub/echo:free", "0", "0")):
        pricing = models[name].model_dump()["pricing"]
        assert (pricing["prompt"], pricing["completion"]) == (prompt, completion)


async def test_closing_a_stream_cancels_the_provider_s_work(gateway: Gateway) -> None:
    before = await gateway.stub_stats()
    async with _client(gateway) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="stub/echo", messages=_say("[[stub chunks=400 gap_ms=50]]"), stream=True
        )
        stream = raw.parse()
        async for _chunk in stream:
            break
        await stream.close()
    entry = await gateway.entry(raw.headers["x-request-id"])
    assert (entry["outcome"], entry["status"], entry["estimated"]) == ("cancelled", 499, True)
    assert entry["estimated_from"] in ("bounds", "time")
    assert entry["input_tokens"] > len("[[stub chunks=400 gap_ms=50]]"), "a bound, not a guess"
    assert entry["output_tokens"] > 0
    async with asyncio.timeout(10):
        while (await gateway.stub_stats()).get("cancelled", 0) == before.get("cancelled", 0):
            await asyncio.sleep(0.05)
