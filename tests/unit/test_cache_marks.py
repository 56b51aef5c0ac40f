"""Breakpoints of prompt caches (`cache_control`) arrive where the client set them, in the protocol's own form."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.config.providers import Provider
from tests.unit.streams import exchange_of

MARK = {"cache_control": {"type": "ephemeral"}}
POINT = {"cachePoint": {"type": "default"}}
TEXT = {"type": "text", "text": "long"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USED = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}


def _chat(said: dict[str, Any], result: Any, tool: dict[str, Any]) -> dict[str, Any]:
    called = {"role": "assistant", **said, "tool_calls": [CALL]}
    answer = {"role": "tool", "tool_call_id": "c1", "content": result}
    return {"messages": [{"role": "user", "content": "hi"}, called, answer], "tools": [tool], "max_tokens": 9}


def _messages(said: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [said, USED]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok", **result}]},
    ]
    return {"messages": turns, "tools": [{"name": "f", "input_schema": {"type": "object"}, **MARK}], "max_tokens": 9}


CHAT = _chat({"content": [{**TEXT, **MARK}]}, [{"type": "text", "text": "ok", **MARK}], {**TOOL, **MARK})
MESSAGES = _messages({**TEXT, **MARK}, MARK)
ASKED = [(Surface.CHAT_COMPLETIONS, CHAT), (Surface.MESSAGES, MESSAGES)]


def _sent(surface: Surface, protocol: Any, body: dict[str, Any]) -> Any:
    return orjson.loads(exchange_of(surface, protocol, body).outgoing.content)


def test_claude_has_them_on_blocks_results_and_tools() -> None:
    """On the result itself: the blocks in it cannot be cached (Anthropic, "Prompt caching")."""
    sent = _sent(Surface.CHAT_COMPLETIONS, "anthropic-messages", CHAT)
    assert sent["messages"][1]["content"][0] == {**TEXT, **MARK}
    (result,) = sent["messages"][2]["content"]
    assert result == {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [{"type": "text", "text": "ok"}],
        **MARK,
    }
    assert sent["tools"][0]["cache_control"] == MARK["cache_control"]


@pytest.mark.parametrize(("surface", "body"), ASKED)
def test_converse_has_points_after_blocks_and_results(surface: Surface, body: dict[str, Any]) -> None:
    """A result's content has no cache points (Bedrock, ToolResultContentBlock): one in it is refused."""
    sent = _sent(surface, "bedrock-converse", body)
    assert sent["messages"][1]["content"][:2] == [{"text": "long"}, POINT]
    result, after = sent["messages"][2]["content"]
    assert result["toolResult"]["content"] == [{"text": "ok"}]
    assert after == POINT


@pytest.mark.parametrize(
    ("model", "points"), [("us.anthropic.claude-sonnet-4-6", [POINT]), ("amazon.nova-pro-v1:0", [])]
)
def test_converse_has_a_point_after_a_tool_where_the_model_takes_it(model: str, points: list[Any]) -> None:
    call = Call(Surface.CHAT_COMPLETIONS, CHAT, "a/b", model, False, cap_tokens=None, most_tokens=9, created_s=1)
    sent = exchange(call, Provider(base_url="http://x", protocol="bedrock-converse")).outgoing
    assert orjson.loads(sent.content)["toolConfig"]["tools"][1:] == points


def test_chat_completions_have_them_on_parts() -> None:
    sent = _sent(Surface.MESSAGES, "openai-chat", MESSAGES)
    assert sent["messages"][1]["content"] == [{**TEXT, **MARK}]
    assert sent["messages"][2]["content"] == [{"type": "text", "text": "ok", **MARK}]
    assert sent["tools"][0]["cache_control"] == MARK["cache_control"]


def test_without_them_turns_are_text() -> None:
    sent = _sent(Surface.MESSAGES, "openai-chat", _messages(TEXT, {}))
    assert [message["content"] for message in sent["messages"]] == ["hi", "long", "ok"]
