"""Providers of the default configuration, on every surface, with every feature; the table of docs/providers.md.

The providers are the stub, which speaks each one's protocol and refuses what that provider is known to refuse
(`deploy.local.stub.validation`). ``--write-tables`` writes what passed into the document; without it, they must agree.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml

from deploy.local.home import ROOT
from deploy.local.stub.answers import SIGNATURE
from libs.config.gateway import DEFAULT_FILE
from tests.documents import agrees
from tests.e2e.clients import IMAGE, SURFACES, Client, Result, Wish
from tests.stacks import Gateway, running_stack, until

DEFAULT = yaml.safe_load(DEFAULT_FILE.read_text())
CHATTING = [model for model in DEFAULT["models"] if "surfaces" not in model]
"""Models that are not for images, sound or the like alone."""
OWN: dict[str, Any] = {
    "only-responses": {"protocol": "openai-responses", "base_url": "http://127.0.0.1:1/v1", "name": "Only Responses"}
}
"""Stands for any provider that speaks no other protocol."""
SHOWN = (
    "anthropic",
    "bedrock",
    "byteplus-coding",
    "codestral",
    "google",
    "inception",
    "kimi-coding",
    "minimax",
    "mistral",
    "neuralwatt",
    "openai",
    "xai",
    "zai",
    "zai-coding",
)
"""The others speak what these do."""
PROVIDERS: list[str] = [*SHOWN, *OWN]
DOCUMENT = ROOT / "docs/providers.md"


FREE = {"prompt": "0", "completion": "0"}


def _model(provider_id: str) -> str:
    """A name for what the default configuration has first at a provider, and only there."""
    return f"only/{provider_id}"


def _configuration() -> dict[str, Any]:
    """The default one, with our stub's key and a model for each provider alone."""
    models = [{**model, "pricing": FREE} for model in DEFAULT["models"]]
    for provider_id in PROVIDERS:
        there = [model for model in models if model["provider"] == provider_id and not model["id"].endswith(":free")]
        like = there[0] if there else {"provider": provider_id, "upstream_model": "m-1", "pricing": FREE}
        models.append({**like, "id": _model(provider_id)})
    all_of_them = {**DEFAULT["providers"], **OWN}
    return {
        "providers": {name: {**one, "api_key": "env:SLUICE_STUB_KEY"} for name, one in all_of_them.items()},
        "models": models,
        "billing": {"prepaid": False},
        "routing": {"breaker": None},
        "telemetry": {"sample_ratio": 0},
        # Each of the features aborts: nobody has to wait for counts that do not come.
        "timeouts": {"leave_s": 0.1},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(kafka: str, forks: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A stack with all providers."""
    folder = tmp_path_factory.mktemp("world")
    file = folder / "world.yaml"
    file.write_text(yaml.safe_dump(_configuration()))
    async with running_stack(folder, kafka, config=file) as started:
        yield started


async def _sent(gateway: Gateway) -> str:
    return json.dumps((await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json())


async def _text(_gateway: Gateway, client: Client) -> None:
    whole = await client.ask(["hello"])
    streamed = await client.ask(["hello"], stream=True)
    assert len(whole.text.split()) == 8
    assert (streamed.text, streamed.stop, whole.stop) == (whole.text, "end", "end")
    assert (streamed.input_tokens, streamed.output_tokens) == (whole.input_tokens, whole.output_tokens)
    assert whole.output_tokens == 8
    assert (await client.ask(["hello", whole, "and then?"])).stop == "end"


async def _tools(gateway: Gateway, client: Client) -> None:
    for stream in (False, True):
        for count in (1, 2):
            said = await client.ask([f"[[stub tool={count} chunks=0]]"], Wish(tools=True), stream=stream)
            assert (said.stop, len({call.id for call in said.calls})) == ("tools", count)
            assert [(call.name, call.arguments) for call in said.calls] == [("weather", {"city": "Graz"})] * count
            results = [Result(call.id, f"sunny {number}") for number, call in enumerate(said.calls)]
            await client.ask(["hi", said, *results], Wish(tools=True), stream=stream)
            sent = await _sent(gateway)
            assert all(result.text in sent for result in results)
            assert sent.count("Graz") == count


async def _images(gateway: Gateway, client: Client) -> None:
    await client.ask(["what is this?"], Wish(image=True))
    assert IMAGE in await _sent(gateway)


async def _structured(_gateway: Gateway, client: Client) -> None:
    for stream in (False, True):
        said = await client.ask(["an animal"], Wish(schema=True), stream=stream)
        assert json.loads(said.text) == {"zebra": True}


async def _thoughts(_gateway: Gateway, client: Client) -> None:
    for stream in (False, True):
        said = await client.ask(["[[stub think=1]]"], Wish(think=True), stream=stream)
        assert said.thought == "Let me see."
        assert len(said.text.split()) == 8
        assert (await client.ask(["hi", said, "and then?"], Wish(think=True))).stop == "end"
        both = Wish(think=True, tools=True)
        called = await client.ask(["[[stub think=1 tool=1 chunks=0]]"], both, stream=stream)
        assert (called.thought, len(called.calls)) == ("Let me see.", 1)
        assert (await client.ask(["hi", called, Result(called.calls[0].id, "sunny")], both)).stop == "end"


async def _cached(_gateway: Gateway, client: Client) -> None:
    for stream in (False, True):
        said = await client.ask(["[[stub cache=1000]]"], stream=stream)
        assert said.cached_tokens == 1_000
        assert said.input_tokens > 1_000


async def _limit(_gateway: Gateway, client: Client) -> None:
    for stream in (False, True):
        said = await client.ask(["hello"], Wish(limit=3), stream=stream)
        assert (said.stop, len(said.text.split()), said.output_tokens) == ("length", 3, 3)


async def _errors(_gateway: Gateway, client: Client) -> None:
    assert await client.refused("[[stub error=429]]") == 429


async def _abort(gateway: Gateway, client: Client) -> None:
    before = (await gateway.stub_stats()).get("cancelled", 0)
    await client.leave("[[stub chunks=500 gap_ms=20]]")

    async def stopped() -> bool | None:
        return (await gateway.stub_stats()).get("cancelled", 0) > before or None

    await until(stopped, what="the provider's stream cut")


RETURNED = {
    **dict.fromkeys(("anthropic", "bedrock", "google"), f'"{SIGNATURE}"'),
    "only-responses": '"c2VjcmV0"',
    **dict.fromkeys(("openai", "mistral", "codestral")),
}
"""What goes back to the provider of the last turn's thought: what it signed or encrypted, the text, or nothing."""
FEATURES = {
    "text": _text,
    "tools": _tools,
    "images": _images,
    "structured output": _structured,
    "thoughts": _thoughts,
    "cached tokens": _cached,
    "limit": _limit,
    "errors": _errors,
    "abort": _abort,
}
OTHERS = {"embeddings": ("embeddings", {"input": "hi"}), "fill in the middle": ("fim/completions", {"prompt": "def"})}
CELLS = [(provider, surface, name) for provider in PROVIDERS for surface in SURFACES for name in FEATURES]


@pytest.fixture(scope="module")
def passed() -> dict[tuple[str, str, str], str]:
    """What the tests before have seen."""
    return {}


@pytest.mark.parametrize(("provider_id", "surface", "feature"), CELLS)
async def test_a_feature(
    world: Gateway, passed: dict[tuple[str, str, str], str], provider_id: str, surface: str, feature: str
) -> None:
    client = SURFACES[surface](world, _model(provider_id))
    try:
        await FEATURES[feature](world, client)
        if feature == "thoughts":
            back = RETURNED.get(provider_id, "Let me see.")
            assert (back is None) or back in await _sent(world)
    finally:
        await client.close()
    passed[provider_id, surface, feature] = "✓"


@pytest.mark.parametrize("provider_id", PROVIDERS)
@pytest.mark.parametrize("other", OTHERS)
async def test_embeddings_and_filling_in_work_or_are_refused_in_words(
    world: Gateway, passed: dict[tuple[str, str, str], str], provider_id: str, other: str
) -> None:
    path, body = OTHERS[other]
    headers = {"Authorization": f"Bearer {world.key}", "X-KiloCode-TaskId": "t"}
    url = f"{world.base_url}/{path}"
    response = await world.http.post(url, json={"model": _model(provider_id), **body}, headers=headers)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        assert "GET /models lists others" in response.json()["error"]["message"]
    passed[provider_id, other, ""] = "✓" if response.status_code == 200 else "refused"


SAYABLE: dict[str, Any] = {
    "max_tokens": 50,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "stop": ["END"],
    "n": 1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 1},
    "user": "somebody",
    "reasoning_effort": "low",
    "parallel_tool_calls": True,
    "stream_options": {"include_usage": True},
}


def _unlike() -> list[tuple[str, str]]:
    """Of each provider one model of each kind; Vertex AI, whose keys are documents, has a test of its own."""
    kinds: dict[str, tuple[str, str]] = {}
    for model in CHATTING:
        if "platform" not in DEFAULT["providers"][model["provider"]]:
            kind = [model["provider"], model.get("unsupported"), model.get("thinking"), model.get("protocol")]
            kinds.setdefault(json.dumps(kind), (model["id"], model["provider"]))
    return list(kinds.values())


@pytest.mark.parametrize(("model", "provider_id"), _unlike())
async def test_no_model_refuses_what_an_agent_says_and_what_is_left_out_is_told(
    world: Gateway, model: str, provider_id: str
) -> None:
    history = [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "so", "reasoning_content": "hm", "reasoning_details": []},
        {"role": "user", "content": "and?"},
    ]
    for stream in (False, True):
        wanted = {"only": [provider_id]}
        body = {"model": model, "messages": history, "stream": stream, "provider": wanted, **SAYABLE}
        response = await world.post(body, **{"X-KiloCode-TaskId": "t"})
        assert response.status_code == 200, response.text
        sent = json.loads(await _sent(world))
        told = (response.headers.get("x-sluice-dropped") or "").split(", ")
        for name in ("logit_bias", "seed", "presence_penalty"):
            other = {"seed": "random_seed", "presence_penalty": "presencePenalty"}.get(name, name)
            there = name in json.dumps(sent) or other in json.dumps(sent)
            assert there != (name in told), name


UNSAMPLED = {model["id"] for model in DEFAULT["models"] if "temperature" in model.get("unsupported", ())}


@pytest.mark.parametrize("model", [model["id"] for model in DEFAULT["models"] if model["provider"] == "anthropic"])
async def test_claude_s_own_clients_need_not_know_which_claude_was_chosen(world: Gateway, model: str) -> None:
    body = {
        "model": model,
        "max_tokens": 5_000,
        "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 2_048},
        "metadata": {"user_id": "somebody"},
        "provider": {"only": ["anthropic"]},
    }
    url, headers = f"{world.base_url}/messages", {"x-api-key": world.key}
    assert (await world.http.post(url, json=body, headers=headers)).status_code == 200
    sent = await _sent(world)
    assert "somebody" not in sent, "a user is known to each provider by a hash of its own"
    del body["thinking"]
    response = await world.http.post(url, json={**body, "temperature": 0.5, "top_k": 5}, headers=headers)
    assert response.status_code == 200
    assert response.headers.get("x-sluice-dropped") == ("temperature, top_k" if model in UNSAMPLED else None)


def _table(passed: dict[tuple[str, str, str], str]) -> str:
    lines = []
    for surface in SURFACES:
        lines += [f"| {surface} | {' | '.join(FEATURES)} |", "|---|" + "---|" * len(FEATURES)]
        for provider in PROVIDERS:
            cells = (passed.get((provider, surface, feature), "") for feature in FEATURES)
            lines.append(f"| `{provider}` | {' | '.join(cells)} |")
        lines.append("")
    lines += [f"| | {' | '.join(OTHERS)} |", "|---|" + "---|" * len(OTHERS)]
    for provider in PROVIDERS:
        lines.append(f"| `{provider}` | {' | '.join(passed.get((provider, other, ''), '') for other in OTHERS)} |")
    return "\n".join(lines) + "\n"


def test_the_document_says_what_passed(request: pytest.FixtureRequest, passed: dict[tuple[str, str, str], str]) -> None:
    assert len(passed) == len(CELLS) + len(OTHERS) * len(PROVIDERS), "run the whole file, and mend what failed"
    agrees(DOCUMENT, "from tests that passed", _table(passed), request.config)
