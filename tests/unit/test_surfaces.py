"""Translation: what both sides can say survives the way there and back, however a stream is cut."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers import native
from libs.chat.providers.anthropic_messages import answer as anthropic_messages_answer
from libs.chat.providers.anthropic_messages import request as anthropic_messages_request
from libs.chat.providers.anthropic_messages.stream import MessagesReader
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call, ProtocolError, ProviderFailure
from libs.chat.surfaces.messages import answer as messages_answer
from libs.chat.surfaces.messages import request as messages_request
from libs.chat.surfaces.registry import DIALECTS, delivered_bytes
from libs.chat.surfaces.responses import answer as responses_answer
from libs.chat.surfaces.writer import SurfaceError, text_of
from libs.config.providers import Provider
from tests.unit.events import named_events

ANTHROPIC = Provider(base_url="http://x", protocol="anthropic-messages")
names = st.text("abcdefgh_", min_size=1, max_size=6)
words = st.text("héllo wörld", min_size=1, max_size=8)
arguments = st.dictionaries(names, st.integers() | words, max_size=2)
text_block = st.builds(lambda text: {"type": "text", "text": text}, words)
image = st.sampled_from(
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
    ]
)
thought = st.builds(lambda text, mark: {"type": "thinking", "thinking": text, "signature": mark}, words, names)
use = st.builds(
    lambda call, name, given_: {"type": "tool_use", "id": call, "name": name, "input": given_}, names, names, arguments
)
result = st.builds(
    lambda call, text: {"type": "tool_result", "tool_use_id": call, "content": [{"type": "text", "text": text}]},
    names,
    words,
)
cached = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(1, 3))):
        user = draw(st.lists(result, max_size=2)) + [
            {**block, **draw(cached)} for block in draw(st.lists(text_block | image, min_size=1, max_size=3))
        ]
        assistant = (
            draw(st.lists(thought, max_size=1))
            + draw(st.lists(text_block, max_size=1))
            + draw(st.lists(use, max_size=2))
        )
        found.append({"role": "user", "content": user})
        if assistant:
            found.append({"role": "assistant", "content": assistant})
        else:
            break
    return found


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "a/b",
        "max_tokens": draw(st.integers(1, 1_000)),
        "messages": draw(conversations()),
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "system": st.lists(text_block, min_size=1, max_size=2),
        "temperature": st.sampled_from([0, 0.5, 1]),
        "top_p": st.sampled_from([0.1, 1]),
        "top_k": st.integers(1, 50),
        "stop_sequences": st.lists(words, min_size=1, max_size=2),
        "metadata": st.builds(lambda user: {"user_id": user}, names),
    }
    body |= {name: draw(strategy) for name, strategy in optional.items() if draw(st.booleans())}
    if draw(st.booleans()):
        schema = {"type": "object", "properties": {}}
        body["tools"] = [{"name": draw(names), "description": draw(words), "input_schema": schema, **draw(cached)}]
        choices = [
            {"type": "auto"},
            {"type": "any"},
            {"type": "none"},
            {"type": "tool", "name": body["tools"][0]["name"]},
        ]
        body["tool_choice"] = draw(st.sampled_from(choices))
        if body["tool_choice"]["type"] != "none" and draw(st.booleans()):
            body["tool_choice"] = {**body["tool_choice"], "disable_parallel_tool_use": True}
    return body


@given(requests())
def test_messages_as_chat_as_messages_are_the_same(body: Any) -> None:
    chat = messages_request.to_chat(body)
    again = from_json(anthropic_messages_request.build_request(chat, _call(Surface.MESSAGES, body), ANTHROPIC).content)
    assert again == {**body, "model": "up", "stream": True}


@given(requests())
def test_messages_for_a_provider_that_speaks_them_are_not_touched(body: dict[str, Any]) -> None:
    provider = Provider(base_url="http://x", protocol="anthropic-messages")
    found = exchange(_call(Surface.MESSAGES, body), provider)
    assert found.outgoing.path == "/messages"
    assert from_json(found.outgoing.content) == {**body, "model": "up", "stream": True}


def test_what_only_anthropic_knows_reaches_it_as_it_came() -> None:
    result = {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]}
    body = {
        "model": "a/b",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [result]}, {"role": "system", "content": "be brief"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}],
        "container": "c",
    }
    sent = exchange(_call(Surface.MESSAGES, body), ANTHROPIC).outgoing
    assert (from_json(sent.content), sent.dropped) == ({**body, "model": "up", "stream": True}, ())


def test_responses_for_a_provider_that_speaks_them_are_not_touched() -> None:
    body = {"model": "a/b", "input": "hi", "tools": [{"type": "web_search"}], "previous_response_id": "resp_1"}
    provider = Provider(base_url="http://x", native=["responses"])
    found = exchange(_call(Surface.RESPONSES, body, cap_tokens=50), provider)
    assert found.outgoing.path == "/responses"
    assert orjson.loads(found.outgoing.content) == {**body, "model": "up", "stream": True, "max_output_tokens": 50}
    plain = {"model": "a/b", "input": "hi", "max_output_tokens": 9}
    translated = exchange(
        _call(Surface.RESPONSES, plain), Provider(base_url="http://x", max_tokens_field="max_completion_tokens")
    )
    assert orjson.loads(translated.outgoing.content)["max_completion_tokens"] == 9


def _call(surface: Surface, body: dict[str, Any], cap_tokens: int | None = None) -> Call:
    return Call(surface, body, "a/b", "up", True, cap_tokens=cap_tokens, most_tokens=100, created_s=1)


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A chat completion, and chunks that say the same."""
    thinks, says, refuses = (draw(st.lists(words, max_size=3)) for _ in range(3))
    calls = draw(st.lists(st.tuples(names, names, st.lists(words, max_size=3)), max_size=2))
    reason = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if says:
        message["content"] = "".join(says)
    if refuses:
        message["refusal"] = "".join(refuses)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if thinks:
        message["reasoning_content"] = "".join(thinks)
    signed = draw(st.booleans())
    if thinks and signed:
        detail = {"type": "reasoning.text", "index": 0}
        message["reasoning_details"] = [{**detail, "text": "".join(thinks), "signature": "c2ln"}]
        deltas += [{"reasoning_content": text, "reasoning_details": [{**detail, "text": text}]} for text in thinks]
        deltas.append({"reasoning_details": [{**detail, "signature": "c2ln"}]})
    else:
        deltas += [{"reasoning_content": text} for text in thinks]
    deltas += [{"content": text} for text in says] + [{"refusal": text} for text in refuses]
    if calls:
        message["tool_calls"] = []
    for index, (call_id, name, pieces) in enumerate(calls):
        text = orjson.dumps({"a": "".join(pieces)}).decode()
        marked = {"extra_content": {"google": {"thought_signature": name}}} if draw(st.booleans()) else {}
        called = {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
        message["tool_calls"].append({**called, **marked})
        cut = draw(st.integers(0, len(text)))
        begun = {"index": index, "id": call_id, "function": {"name": name, "arguments": ""}, **marked}
        deltas.append({"tool_calls": [begun]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            for part in (text[:cut], text[cut:])
            if part
        ]
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
    identity = {"id": "c1", "created": 5, "model": "a/b"}
    whole = {**identity, "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}
    chunks = [{**identity, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**identity, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return whole, [*chunks, {**identity, "choices": [], "usage": usage}]


def _write(surface: Surface, chunks: list[Any]) -> list[dict[str, Any]]:
    writer = DIALECTS[surface].writer("a/b", {})
    text = "".join(writer.chunk(chunk) for chunk in chunks[:-1]) + writer.finish(chunks[-1])
    events = named_events(text)
    assert delivered_bytes(text) <= sum(len(orjson.dumps(chunk)) for chunk in chunks)
    return events


@given(answers())
def test_a_message_s_events_add_up_to_the_whole_message(given_: tuple[Any, list[Any]]) -> None:
    answer, chunks = given_
    events = _write(Surface.MESSAGES, chunks)
    assert [events[0]["type"], events[-2]["type"], events[-1]["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    blocks: list[dict[str, Any]] = []
    open_: int | None = None
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert open_ is None
            open_ = event["index"]
            assert open_ == len(blocks)
            blocks.append({**event["content_block"], "_json": ""})
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_
            open_ = None
        else:
            assert event["index"] == open_
            delta = event["delta"]
            name = delta["type"].removesuffix("_delta")
            blocks[-1][{"input_json": "_json"}.get(name, name)] += delta[{"input_json": "partial_json"}.get(name, name)]
    assert open_ is None
    for block in blocks:
        text = block.pop("_json")
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(text) if text else {}
    expected = messages_answer.whole(answer)
    assert blocks == expected["content"]
    assert events[-2]["delta"]["stop_reason"] == expected["stop_reason"]
    assert events[-2]["usage"] == expected["usage"] == messages_answer.usage_json(answer["usage"])


def _without_ids(items: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


@given(answers())
def test_a_response_s_events_add_up_to_the_whole_response(given_: tuple[Any, list[Any]]) -> None:
    answer, chunks = given_
    events = _write(Surface.RESPONSES, chunks)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final, expected = events[-1]["response"], responses_answer.whole(answer, {})
    assert events[-1]["type"] == f"response.{expected['status']}"
    assert _without_ids(final["output"]) == _without_ids(expected["output"])
    assert {**final, "output": []} == {**expected, "output": []}
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == final["output"]
    for kind, place in (("output_text", "text"), ("function_call_arguments", "arguments")):
        told = "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")
        whole = [event[place] for event in events if event["type"] == f"response.{kind}.done"]
        assert told == "".join(whole)


@given(answers())
def test_anthropic_s_events_are_read_as_its_whole_answer_is(
    given_: tuple[Any, list[Any]],
) -> None:
    answer, chunks = given_
    message = messages_answer.whole(answer)
    events = _write(Surface.MESSAGES, chunks)
    # As Anthropic tells it: what goes in at the start, what comes out at the end.
    events[0]["message"]["usage"] = {**message["usage"], "output_tokens": 1}
    events[-2]["usage"] = {"output_tokens": message["usage"]["output_tokens"]}
    reader = MessagesReader(model="a/b", created_s=5)
    read = [chunk for event in events for chunk in reader.read(orjson.dumps(event).decode())]
    parsed = anthropic_messages_answer.parse_response(orjson.dumps(message), model="a/b", created_s=5)
    given_back: Any = parsed.answer
    said = given_back["choices"][0]["message"]
    deltas = [chunk["choices"][0]["delta"] for chunk in read]
    assert "".join(text_of(delta.get("content")) for delta in deltas) == (said["content"] or "")
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == said.get("reasoning_content", "")
    calls: dict[int, dict[str, Any]] = {}
    for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
        known = calls.setdefault(
            call["index"], {"id": call.get("id"), "name": call["function"].get("name"), "arguments": ""}
        )
        known["arguments"] += call["function"].get("arguments", "")
    assert [(call["id"], call["name"], orjson.loads(call["arguments"])) for call in calls.values()] == [
        (call["id"], call["function"]["name"], orjson.loads(call["function"]["arguments"]))
        for call in said.get("tool_calls", ())
    ]
    assert reader.done
    assert reader.finished
    assert reader.usage == parsed.usage == TokenUsage(input_tokens=7, output_tokens=3, cache_read_tokens=2)
    assert read[-1]["choices"][0]["finish_reason"] == given_back["choices"][0]["finish_reason"]


def test_a_native_stream_holds_its_end_back_and_tells_our_name_of_the_model() -> None:
    stream = native.messages_stream("a/b")
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "up", "usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hé"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    told = [stream.event(orjson.dumps(event).decode()) for event in events]
    assert '"model":"a/b"' in told[0]
    assert told[2:] == ["", ""]
    assert (stream.done, stream.usage) == (True, TokenUsage(input_tokens=9, output_tokens=4))
    assert [event["type"] for event in named_events(stream.finish(None))] == ["message_delta", "message_stop"]
    assert stream.delivered_bytes == 3

    stream = native.responses_stream("a/b")
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 2,
        "output_tokens_details": {},
    }
    assert stream.event('{"type":"response.output_text.delta","delta":"hi"}')
    assert stream.event(orjson.dumps({"type": "response.completed", "response": {"usage": usage}}).decode()) == ""
    assert (stream.done, stream.usage) == (True, TokenUsage(input_tokens=9, output_tokens=2, cache_read_tokens=4))
    with pytest.raises(ProviderFailure, match="overloaded"):
        native.messages_stream("m").event('{"type":"error","error":{"message":"overloaded"}}')
    with pytest.raises(ProtocolError):
        native.messages_stream("m").event("nonsense")


@pytest.mark.parametrize(
    ("surface", "body", "hint"),
    [
        (Surface.MESSAGES, {"messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        (Surface.MESSAGES, {"max_tokens": 1, "messages": []}, "messages"),
        (Surface.MESSAGES, {"max_tokens": 1, "messages": [{"role": "robot", "content": "x"}]}, "role"),
        (Surface.MESSAGES, {"max_tokens": 1, "messages": [{"role": "user", "content": 7}]}, "content"),
        (
            Surface.MESSAGES,
            {"max_tokens": 1, "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "bash_1"}]},
            "schema",
        ),
        (Surface.RESPONSES, {"input": []}, "input"),
        (Surface.RESPONSES, {"input": [{"type": "item_reference", "id": "x"}]}, "refers to the item 'x'"),
        (Surface.RESPONSES, {"input": [{"role": "robot", "content": "x"}]}, "role"),
        (
            Surface.RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}]},
            "input_image",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_in_words(surface: Surface, body: dict[str, Any], hint: str) -> None:
    with pytest.raises(SurfaceError, match=hint):
        DIALECTS[surface].to_chat({"model": "a/b", **body})


def test_instructions_inside_a_conversation_stay_where_they_are() -> None:
    said: Any = [
        {"role": "user", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
    ]
    chat = messages_request.to_chat({"model": "a/b", "max_tokens": 1, "messages": said})
    assert chat["messages"] == said


def test_whole_numbers_of_any_size_are_said_as_they_are() -> None:
    use_ = {"type": "tool_use", "id": "a", "name": "f", "input": {"n": 2**70}}
    body: Any = {
        "model": "a/b",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [use_]}],
    }
    chat = messages_request.to_chat(body)
    assert str(2**70) in chat["messages"][-1]["tool_calls"][0]["function"]["arguments"]
    answer: Any = {"choices": [{"message": chat["messages"][-1], "finish_reason": "tool_calls"}]}
    assert messages_answer.whole(answer)["content"] == [use_]
