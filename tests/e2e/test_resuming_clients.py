"""The published helpers: streams go on by themselves through a proxy that cuts every connection, again and again."""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from deploy.local.home import ROOT
from libs.clients.python.sluice_streams import GivenUpError, async_resuming, resuming
from tests.clients.environments import NODE, installed, run
from tests.e2e.cutting import Proxy, cutting
from tests.stacks import Gateway, chat

EVERY = 1_500
"""Bytes: headers, and an event or more."""
WORDS = 60
TEXT = f"[[stub chunks={WORDS} gap_ms=5]]"
TYPESCRIPT = ROOT / "libs" / "clients" / "typescript"


def _url(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}/api/gateway"


def _client(gateway: Gateway, proxy: Proxy) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(transport=async_resuming())
    return openai.AsyncOpenAI(base_url=_url(proxy), api_key=gateway.key, max_retries=0, http_client=http)


def _words(text: str) -> int:
    return len(text.split())


async def test_openai_s_sdk_reads_one_stream_over_many_connections(gateway: Gateway) -> None:
    async with cutting(gateway.base_url, EVERY) as proxy, _client(gateway, proxy) as client:
        messages: Any = [{"role": "user", "content": TEXT}]
        text = ""
        async for chunk in await client.chat.completions.create(model="stub/echo", messages=messages, stream=True):
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        assert (_words(text), proxy.cuts > 3) == (WORDS, True)
        async with client.responses.stream(model="stub/echo", input=TEXT) as stream:
            final = await stream.get_final_response()
        assert _words(final.output_text) == WORDS


async def test_anthropic_s_sdk_and_clients_that_are_not_async_do_too(gateway: Gateway) -> None:
    async with cutting(gateway.base_url, EVERY) as proxy:

        def ask() -> int:
            http = anthropic.DefaultHttpxClient(transport=resuming())
            given: Any = {"base_url": _url(proxy), "auth_token": gateway.key, "api_key": None, "http_client": http}
            with anthropic.Anthropic(**given, max_retries=0) as client:
                asked: Any = {"model": "stub/echo", "max_tokens": 99, "messages": chat(TEXT)["messages"]}
                with client.messages.stream(**asked) as stream:
                    return sum(_words(text) for text in stream.text_stream)

        assert await asyncio.to_thread(ask) == WORDS
        assert proxy.cuts > 3


async def test_who_leaves_before_the_end_cancels(gateway: Gateway) -> None:
    async with httpx.AsyncClient(transport=async_resuming(), timeout=60) as http:
        asked = http.stream(
            "POST",
            f"{gateway.base_url}/chat/completions",
            json=chat("[[stub chunks=2000 gap_ms=20]]", stream=True),
            headers={"authorization": f"Bearer {gateway.key}"},
        )
        async with asked as response:
            await anext(response.aiter_raw())
    entry = await gateway.entry(response.headers["x-request-id"])
    assert entry["outcome"] == "cancelled"


async def test_who_cannot_go_on_is_told_with_what_to_ask_later(gateway: Gateway) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(cutting(gateway.base_url, EVERY))
        # The streams are elsewhere, so nobody has them.
        http = httpx.AsyncClient(transport=async_resuming(url=f"{_url(proxy)}/nowhere"), timeout=60)
        await stack.enter_async_context(http)
        asked = http.stream(
            "POST",
            f"{_url(proxy)}/chat/completions",
            json=chat(TEXT, stream=True),
            headers={"authorization": f"Bearer {gateway.key}"},
        )
        with pytest.raises(GivenUpError) as raised:
            async with asked as response:
                await response.aread()
    assert raised.value.stream == response.headers["x-sluice-stream"]
    assert raised.value.last_id


async def _node(program: str, folder: Path, gateway: Gateway, url: str) -> dict[str, Any]:
    for file in (*TYPESCRIPT.glob("*.ts"), Path(__file__).with_name("resuming") / program):
        shutil.copy(file, folder)
    environment = {"SLUICE_URL": url, "SLUICE_KEY": gateway.key, "TEXT": TEXT, "HOME": str(folder)}
    code, out, err = await run(str(NODE), program, folder=folder, environment=environment, within_s=60)
    assert code == 0, err[-3000:]
    found: dict[str, Any] = json.loads(out)
    return found


async def test_a_fetch_reads_one_stream_over_many_connections(gateway: Gateway, tmp_path: Path) -> None:
    async with cutting(gateway.base_url, EVERY) as proxy:
        found = await _node("fetching.ts", tmp_path, gateway, _url(proxy))
        assert proxy.cuts > 3
    whole = await gateway.http.get(
        f"{gateway.base_url}/streams/{found['id']}", headers={"authorization": f"Bearer {gateway.key}"}
    )
    assert found["text"] == whole.text
    assert whole.text.endswith("data: [DONE]\n\n")
    assert (found["name"], bool(found["lastId"])) == ("GivenUpError", True)
    assert (await gateway.entry(found["left"]))["outcome"] == "cancelled"


async def test_the_ai_sdk_resumes_a_chat_from_the_log(gateway: Gateway, tmp_path: Path) -> None:
    environment = await installed("ai-sdk")
    (tmp_path / "node_modules").symlink_to(environment / "node_modules")
    async with cutting(gateway.base_url, EVERY) as proxy:
        found = await _node("ai-sdk-resume.ts", tmp_path, gateway, _url(proxy))
    assert _words(found["text"]) == WORDS
    assert found["again"] == found["first"]
    assert found["begun"] == 1
