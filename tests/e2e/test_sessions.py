"""The recorded sessions through all services: what the provider received, turn by turn."""

import json
from typing import Any

import httpx
import pytest

from tests.sessions.facts import HEARD, SAID, Fact
from tests.sessions.replay import Session, load, written
from tests.stacks import Gateway
from tests.unit.test_sessions import PROTOCOLS, SURFACES

MODELS = dict(
    zip(
        PROTOCOLS,
        ("stub/echo", "responses/echo", "claude/echo", "gemini/echo", "converse/echo"),
        strict=True,
    )
)
HASHED = {"metadata", "prompt_cache_key", "safety_identifier"}
"""Names of users and conversations: each provider is given hashes of its own."""
ADDED = {"max_output_tokens"}
"""The limit for which credit was reserved, where the client set none."""


async def _turn(gateway: Gateway, session: Session, raw: bytes) -> httpx.Response:
    headers = session.headers | {"authorization": f"Bearer {gateway.key}"}
    path = session.path.removeprefix("/v1")
    return await gateway.http.post(f"{gateway.base_url}/v1{path}", content=raw, headers=headers)


async def _received(gateway: Gateway) -> dict[str, Any]:
    received: dict[str, Any] = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/last")).json()
    return received


def _shared(body: dict[str, Any], asked: dict[str, Any]) -> bytes:
    return written({name: value for name, value in body.items() if name not in HASHED | (ADDED - asked.keys())})


def _is_billed(tool: dict[str, Any]) -> bool:
    """A tool that the provider runs: left out with our own key, as its price is not in the tokens."""
    return tool.get("type") == "web_search"


@pytest.mark.parametrize(
    ("name", "model", "upstream"),
    [("claude_code", "claude/echo", "claude-1"), ("codex", "responses/echo", "codex-1")],
)
async def test_a_provider_of_the_client_s_own_protocol_gets_every_turn_as_it_was_sent(
    gateway: Gateway, name: str, model: str, upstream: str
) -> None:
    session = load(name)
    for body in session.bodies:
        raw = written({**body, "model": model, "tools": [one for one in body["tools"] if not _is_billed(one)]})
        answer = await _turn(gateway, session, raw)
        assert answer.status_code == 200, answer.text
        assert "x-sluice-dropped" not in answer.headers
        received = await _received(gateway)
        asked = json.loads(raw)
        assert _shared(received, asked) == _shared({**asked, "model": upstream}, asked)
    sent = (await gateway.http.get(f"{gateway.stack.stub_url}/stub/headers")).json()
    assert sent.get("anthropic-beta") == session.headers.get("anthropic-beta")
    if name == "claude_code":
        assert received["metadata"]["user_id"] != session.bodies[-1]["metadata"]["user_id"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_last_turn_of_claude_code_reaches_every_provider(gateway: Gateway, protocol: Any) -> None:
    session = load("claude_code")
    raw = session.requests(MODELS[protocol])[-1]
    answer = await _turn(gateway, session, raw)
    assert answer.status_code == 200, answer.text
    assert answer.text.rstrip().endswith('data: {"type":"message_stop"}')
    heard: list[Fact] = list(HEARD[protocol](await _received(gateway)))
    assert sorted(heard) == sorted(SAID[SURFACES["claude_code"]](json.loads(raw)))
