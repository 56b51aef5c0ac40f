"""Functions, as chat completions had them before tools: what a model knows of them, and what their clients get."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from deploy.local.stub.answers import StubRequest, answer_to
from libs.config.providers import ProtocolName
from tests.unit.streams import STUBS, events_of, exchange_of
from tests.unit.test_streams import recorded

FUNCTION = {"name": "weather", "description": "of a city", "parameters": {"type": "object"}}
CALL = {"name": "weather", "arguments": '{"city":"Graz"}'}
TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "Graz?"},
    {"role": "assistant", "content": None, "function_call": CALL},
    {"role": "function", "name": "weather", "content": "sunny"},
]
TRANSLATED: tuple[ProtocolName, ...] = ("openai-responses", "anthropic-messages", "gemini", "bedrock-converse")


def _body(**more: Any) -> dict[str, Any]:
    return {"messages": TALK, "functions": [FUNCTION], **more}


def _as_tools() -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": CALL}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    return {"messages": [TALK[0], called, result], "tools": [{"type": "function", "function": FUNCTION}]}


@pytest.mark.parametrize("protocol", TRANSLATED)
@pytest.mark.parametrize(
    ("function_call", "tool_choice"),
    [(None, None), ("none", "none"), ({"name": "weather"}, {"type": "function", "function": {"name": "weather"}})],
)
def test_functions_are_asked_for_as_tools(protocol: ProtocolName, function_call: Any, tool_choice: Any) -> None:
    old = exchange_of(Surface.CHAT_COMPLETIONS, protocol, _body(function_call=function_call)).outgoing
    new = exchange_of(Surface.CHAT_COMPLETIONS, protocol, {**_as_tools(), "tool_choice": tool_choice}).outgoing
    assert (old.content, old.dropped) == (new.content, new.dropped)


@pytest.mark.parametrize("protocol", TRANSLATED)
def test_the_answer_has_the_first_call_as_a_function_s(protocol: ProtocolName) -> None:
    stub = STUBS[protocol]
    asked = StubRequest({}, "up", "[[stub chunks=1 tool=2]] hi", 9, None, False, {"weather": {}})
    answer = orjson.dumps(stub.whole(answer_to(asked, stub.call_prefix)))
    found = exchange_of(Surface.CHAT_COMPLETIONS, protocol, _body(), streamed=False).whole(answer)
    (choice,) = orjson.loads(found.body(None))["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"]["name"] == "weather"
    assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize("protocol", TRANSLATED)
def test_a_stream_adds_up_to_the_first_call(protocol: ProtocolName) -> None:
    found = exchange_of(Surface.CHAT_COMPLETIONS, protocol, _body())
    events = found.framing().feed(recorded(protocol, "[[stub chunks=1 tool=2]] hi"))
    chunks = events_of("".join(found.stream.event(event) for event in events))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    pieces = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert [piece["name"] for piece in pieces if piece.get("name")] == ["weather"]
    assert isinstance(orjson.loads("".join(piece["arguments"] for piece in pieces)), dict)
    assert not any("tool_calls" in delta for delta in deltas)
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"
