"""Other models that answer where the first cannot, asked for with OpenAI's own SDK."""

import os
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec

import openai
import pytest

from deploy.local.home import ROOT
from tests.stacks import Gateway, chat


def _client(gateway: Gateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0)


async def test_the_example_is_answered_by_the_model_that_can(gateway: Gateway) -> None:
    process = await create_subprocess_exec(
        sys.executable,
        str(ROOT / "docs/examples/fallback.py"),
        env=os.environ
        | {"SLUICE_BASE_URL": gateway.base_url, "SLUICE_API_KEY": gateway.key, "MODELS": "only/429,stub/echo"},
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode().split() == ["stub/echo", "stub/echo", "first=429"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stand_in_answers_and_is_charged(gateway: Gateway, stream: bool) -> None:
    body = chat("hi", model="only/500", models=["only/429", "stub/echo"], route="fallback", stream=stream)
    answer = await gateway.post(body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-model"] == "stub/echo"
    assert answer.headers["x-sluice-tried"] == "first=502, first=429"
    entry = await gateway.entry(answer.headers["x-request-id"])
    assert (entry["model"], entry["provider_id"], entry["attempts"]) == ("stub/echo", "stub", 3)
    assert entry["cost_microdollars"] == 2 * entry["input_tokens"] + 8 * entry["output_tokens"]
    assert entry["reserved_microdollars"] >= entry["cost_microdollars"]


async def test_what_is_too_long_for_one_goes_to_a_larger_one(gateway: Gateway) -> None:
    body = chat("word " * 400, model="small/echo", models=["stub/echo"])
    answer = await gateway.post(body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "stub/echo"
    assert (await gateway.post(chat("word " * 400, model="small/echo"))).status_code == 400


async def test_without_stand_ins_the_error_is_the_first_model_s(gateway: Gateway) -> None:
    with pytest.raises(openai.RateLimitError):
        await _client(gateway).chat.completions.create(model="only/429", messages=[{"role": "user", "content": "hi"}])


async def test_a_wrong_request_goes_nowhere_else(gateway: Gateway) -> None:
    answer = await gateway.post(chat("[[stub error=400]]", models=["stub/large"]))
    assert answer.status_code == 400
    assert "x-sluice-tried" not in answer.headers


async def test_a_configured_alias_and_its_stand_in(gateway: Gateway) -> None:
    answer = await gateway.post(chat("hi", model="only/401"))
    assert answer.status_code == 200
    assert answer.headers["x-sluice-model"] == "stub/large"
    alias = await gateway.post(chat("hi", model="alias"))
    assert alias.json()["model"] in ("stub/echo", "stub/large")


async def test_a_provider_that_was_overloaded_is_asked_again_for_who_wants_that(gateway: Gateway) -> None:
    once = await gateway.post(chat("[[stub flaky=retries-not]]"))
    assert once.status_code == 503
    for stream in (False, True):
        text = f"[[stub flaky=retries-{stream}]]"
        again = await gateway.post(chat(text, stream=stream), **{"x-sluice-retries": "2"})
        assert again.status_code == 200, again.text
        assert again.headers["x-sluice-tried"] == "stub=503"
        entry = await gateway.entry(again.headers["x-request-id"])
        assert (entry["attempts"], entry["outcome"]) == (2, "completed")
