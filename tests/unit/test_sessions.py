"""Sessions of Claude Code and Codex, 20 turns each, through every protocol of providers."""

import json
from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import Any, get_args

import pytest

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call, Outgoing
from libs.config.providers import ProtocolName, Provider
from tests.sessions.facts import HEARD, SAID, Fact
from tests.sessions.replay import NAMES, load, written

PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)
SURFACES = {"claude_code": Surface.MESSAGES, "codex": Surface.RESPONSES}
NATIVE: dict[str, ProtocolName] = {"claude_code": "anthropic-messages", "codex": "openai-responses"}
DROPPED: dict[str, set[str]] = {
    # `thinking` of a budget after calls whose thought is missing (Anthropic, "Extended thinking").
    "claude_code": {"context_management", "thinking"},
    "codex": {"web_search", "tool_search", "client_metadata", "text", "verbosity", "reasoning", "prompt_cache_key"},
}


def _sent(name: str, protocol: ProtocolName, raw: bytes) -> Outgoing:
    call = Call(
        SURFACES[name], json.loads(raw), "a/b", "up", True, cap_tokens=None, most_tokens=9, created_s=1, cache=True
    )
    return exchange(call, Provider(base_url="http://x", protocol=protocol)).outgoing


@pytest.mark.parametrize("name", NAMES)
def test_a_session_is_one_of_an_agent(name: str) -> None:
    session = load(name)
    facts = list(SAID[SURFACES[name]](session.bodies[-1]))
    assert len(session.bodies) == 20
    assert {fact[0] for fact in facts} == {"user", "assistant", "call", "result", "image"}
    assert [len(body) for body in session.requests("m")] == sorted(len(body) for body in session.requests("m"))
    assert any(first[0] == second[0] == "call" for first, second in pairwise(facts)), "parallel"


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_needs_translation_the_provider_gets_the_bytes_of_the_client(name: str) -> None:
    for raw in load(name).requests("a/b"):
        sent = _sent(name, NATIVE[name], raw)
        assert sent.content == written({**json.loads(raw), "model": "up"})
        assert sent.dropped == ()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES)
def test_every_provider_hears_what_was_said(name: str, protocol: ProtocolName) -> None:
    for raw in load(name).requests("a/b"):
        body = json.loads(raw)
        sent = _sent(name, protocol, raw)
        heard = json.loads(sent.content)
        assert set(sent.dropped) <= (set() if protocol == NATIVE[name] else DROPPED[name])
        assert _tools(heard) == _tools(body)
        assert _matched(HEARD[protocol](heard)) == _matched(SAID[SURFACES[name]](body))


def _matched(facts: Iterable[Fact]) -> list[Fact | list[Fact]]:
    """Results of one turn are known by their call, whose order is free, as are images beside them."""
    kept: list[Fact | list[Fact]] = []
    for is_result, run in groupby(facts, lambda fact: fact[0] in ("result", "image")):
        turn = list(run)
        kept += [sorted(turn)] if is_result else turn
    return kept


def _tools(body: dict[str, Any]) -> set[str]:
    tools = body.get("tools") or body["toolConfig"]["tools"]
    if "functionDeclarations" in tools[0]:
        tools = tools[0]["functionDeclarations"]
    return {(tool.get("function") or tool.get("toolSpec") or tool).get("name", "") for tool in tools} - {""}
