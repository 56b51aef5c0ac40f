"""Tools of Responses that are no functions, for models that know functions alone."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.surfaces.responses.tools import arguments_of, input_of
from libs.chat.surfaces.writer import SurfaceError
from libs.config.providers import Provider

PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "edits",
    "format": {"type": "grammar", "definition": "start: X"},
}
SEARCH = {"type": "web_search"}


def _exchange(tools: list[dict[str, Any]], *, streamed: bool = False) -> Exchange:
    body = {"model": "a/b", "input": "hi", "tools": tools}
    call = Call(Surface.RESPONSES, body, "a/b", "up", streamed, cap_tokens=None, most_tokens=9, created_s=1)
    return exchange(call, Provider(base_url="http://x"))


@given(st.text())
def test_an_input_comes_back_from_a_function_s_arguments(text: str) -> None:
    assert input_of(arguments_of(text)) == text


@pytest.mark.parametrize("arguments", ["*** Begin Patch", "[]", '{"other": 1}', '{"input": 1}', '{"input": "a'])
def test_what_a_model_wrote_otherwise_is_the_input_itself(arguments: str) -> None:
    assert input_of(arguments) == arguments


def test_a_custom_tool_is_a_function_and_what_only_openai_has_is_named_as_left_out() -> None:
    found = _exchange([PATCH, SEARCH])
    (tool,) = orjson.loads(found.outgoing.content)["tools"]
    assert tool["function"]["name"] == "apply_patch"
    assert "start: X" in tool["function"]["description"]
    assert found.outgoing.dropped == ("web_search",)
    with pytest.raises(SurfaceError, match="'web_search'"):
        _exchange([SEARCH])


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_call_of_it_is_a_call_of_a_custom_tool_again(size: int) -> None:
    given_ = '*** Begin Patch "x"\n'
    arguments = json.dumps({"input": given_})
    function = {"name": "apply_patch", "arguments": arguments}
    message = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    output = orjson.loads(_exchange([PATCH]).whole(orjson.dumps(answer)).body(None))["output"]
    (item,) = (item for item in output if item["type"] != "reasoning")
    assert (item["type"], item["call_id"], item["input"]) == ("custom_tool_call", "call_1", given_)
    stream = _exchange([PATCH], streamed=True).stream
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    text = ""
    for number, piece in enumerate(pieces):
        part = (
            {"id": "call_1", "type": "function", "function": {"name": "apply_patch"}}
            if number == 0
            else {"function": {}}
        )
        part["function"]["arguments"] = piece  # type: ignore[index]
        delta = {"tool_calls": [{"index": 0, **part}]}
        text += stream.event(json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    text += stream.event(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}))
    text += stream.finish(None)
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    kinds = [event["type"] for event in events]
    assert "response.function_call_arguments.delta" not in kinds
    done = next(e["item"] for e in events if e["type"] == "response.output_item.done" and "input" in e["item"])
    assert (done["type"], done["input"]) == ("custom_tool_call", given_)
    assert next(e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta") == given_
