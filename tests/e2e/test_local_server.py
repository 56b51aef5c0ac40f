"""A real server of another project, llama.cpp's, behind docs/providers.md's five lines; and LangChain before it."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
import uv
import yaml

from deploy.local.child import Child
from deploy.local.home import ROOT
from deploy.local.ports import free_port, wait_until_open
from tests.e2e.clients import SURFACES, Called, Result, Said, Wish
from tests.stacks import Gateway, running_stack

LANGCHAIN = Path(__file__).with_name("langchain")
STUB: dict[str, Any] = {
    "providers": {"stub": {"base_url": "http://127.0.0.1:1/v1", "api_key": "env:SLUICE_STUB_KEY"}},
    "models": [
        {
            "id": "stub/echo",
            "provider": "stub",
            "upstream_model": "echo-1",
            "pricing": {"prompt": "0.000002", "completion": "0.000008"},
        }
    ],
}


OLD = {"id": "local/old", "provider": "old"}
"""The same server and model, asked for completions from before chat as it has them itself."""


def _documented() -> dict[str, Any]:
    text = (ROOT / "docs/providers.md").read_text()
    found: dict[str, Any] = yaml.safe_load(next(part for part in text.split("```") if "local/llama" in part))
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def local(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A stack with the documented local provider, and the stub."""
    folder, port = tmp_path_factory.mktemp("local"), free_port()
    command = [sys.executable, "-m", "tests.e2e.local_model", str(folder / "model.gguf"), str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = Child("llama.cpp", lambda: command, environment, folder / "llama.log")
    await server.start()
    try:
        await wait_until_open(port, within_s=60, what="llama.cpp's server")
        documented = _documented()
        old = documented["providers"]["local"] | {"native": ["completions"]}
        file = folder / "local.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "providers": documented["providers"] | STUB["providers"] | {"old": old},
                    "models": [*documented["models"], {**documented["models"][0], **OLD}, *STUB["models"]],
                    "billing": {"prepaid": False},
                    "telemetry": {"sample_ratio": 0},
                }
            )
        )
        url = f"http://127.0.0.1:{port}/v1"
        where = {f"SLUICE_PROVIDERS__{name}__BASE_URL": url for name in ("LOCAL", "OLD")}
        async with running_stack(folder, kafka, config=file, environment=where) as started:
            yield started
    finally:
        await server.stop()


async def _newest(gateway: Gateway) -> dict[str, Any]:
    """The ledger's newest entry, once everything that was asked is in it."""
    request_id = await gateway.database.fetchval("select max(request_id::text) from ledger.usage")
    return await gateway.entry(request_id)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_real_server_answers_on_every_surface_and_its_counts_are_booked(
    local: Gateway, surface: str, stream: bool
) -> None:
    client = SURFACES[surface](local, "local/llama")
    known = await local.database.fetchval("select count(*) from ledger.usage")
    said = await client.ask(["hello"], Wish(limit=8), stream=stream)
    await client.close()
    assert 0 < said.output_tokens <= 8
    assert said.input_tokens > len("system: Be brief.")
    async with asyncio.timeout(20):
        while await local.database.fetchval("select count(*) from ledger.usage") == known:
            await asyncio.sleep(0.02)
    entry = await _newest(local)
    assert (entry["input_tokens"], entry["output_tokens"]) == (said.input_tokens, said.output_tokens)
    assert (entry["provider_id"], entry["outcome"], entry["estimated"]) == ("local", "completed", False)


@pytest.mark.parametrize("surface", SURFACES)
async def test_a_real_server_keeps_to_a_schema_and_takes_what_tools_gave(local: Gateway, surface: str) -> None:
    client = SURFACES[surface](local, "local/llama")
    said = await client.ask(["a zebra?"], Wish(schema=True))
    assert isinstance(json.loads(said.text)["zebra"], bool)
    called = SURFACES[surface](local, "stub/echo")
    asked: Said = await called.ask(["[[stub tool=1 chunks=0]]"], Wish(tools=True))
    assert asked.calls == [Called(asked.calls[0].id, "weather", {"city": "Graz"})]
    answer = await client.ask(["hi", asked, Result(asked.calls[0].id, "sunny")], Wish(limit=8))
    assert answer.output_tokens > 0
    await client.close()
    await called.close()


@pytest.mark.parametrize("model", ["local/old", "local/llama"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_real_server_s_completions_pass_as_they_are_or_by_way_of_chat(
    local: Gateway, model: str, stream: bool
) -> None:
    async with openai.AsyncOpenAI(base_url=local.base_url, api_key=local.key, max_retries=0) as client:
        asked: Any = {"model": model, "prompt": "hello", "max_tokens": 6}
        if stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
            chunks = [one async for one in await client.completions.create(**asked)]
            text, usage = "".join(choice.text for one in chunks for choice in one.choices), chunks[-1].usage
        else:
            whole = await client.completions.create(**asked)
            text, usage = whole.choices[0].text, whole.usage
    assert usage is not None
    assert text
    assert 0 < usage.completion_tokens <= 6


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()[-3000:]
    return out.decode()


async def test_langchain(local: Gateway) -> None:
    """Its dependencies and ours do not go together, so it lives in an environment of its own."""
    lock = LANGCHAIN / "requirements.lock"
    folder = ROOT / ".sluice" / "langchain" / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    python, installed = folder / "bin" / "python", folder / "installed"
    if not installed.exists():
        await _run(uv.find_uv_bin(), "venv", "--clear", "--python", sys.executable, str(folder))
        await _run(uv.find_uv_bin(), "pip", "install", "--python", str(python), "--require-hashes", "-r", str(lock))
        installed.touch()
    client = str(LANGCHAIN / "client.py")
    seen = json.loads(await _run(str(python), client, local.base_url, local.key, "stub/echo", "local/llama"))
    for way in ("chat", "responses"):
        found = seen[way]
        assert len(found["whole"].split()) == 8
        assert found["streamed"] == found["whole"]
        assert found["usage"] == found["streamed_usage"] == 8
        assert found["calls"] == [["weather", {"city": "Graz"}]] * 2
        assert found["told"]
        assert found["seen"]
        assert found["structured"] == "Animal"
