"""A chat completion's request in another protocol, heard again: what both can say arrives, what one cannot is told.

What is sent is heard by a plain model of each protocol: for Messages and Responses our own surfaces, which have tests
of their own; for Gemini and Converse the few lines below.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from deploy.local.home import ROOT
from libs.chat.providers.anthropic_messages import answer as anthropic_messages_answer
from libs.chat.providers.exchange import exchange
from libs.chat.providers.openai_responses import answer as openai_responses_answer
from libs.chat.providers.protocol import Call
from libs.chat.providers.registry import ADAPTERS
from libs.chat.shapes.completion import Completion
from libs.chat.surfaces.messages import request as messages_request
from libs.chat.surfaces.reasoning import BUDGETS
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.surfaces.responses import request as responses_request
from libs.chat.surfaces.thoughts import Carried, opened
from libs.chat.surfaces.writer import inline_data
from libs.config.providers import ProtocolName, Provider
from tests.documents import agrees

Heard = dict[str, Any]
names = st.text("abcdefgh", min_size=1, max_size=6)
words = st.text("héllo wörld", min_size=1, max_size=8)
arguments = st.dictionaries(names, st.integers(0, 9) | words, max_size=2)
HINTS = {"user", "safety_identifier", "prompt_cache_key"}
"""Not part of what is asked for; a protocol without a place for them leaves them out and says nothing."""
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
NAMED = {"type": "function", "function": {"name": "weather"}}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.sampled_from([50, 50_000]),
    "temperature": st.sampled_from([0, 0.5]),
    "top_p": st.just(0.9),
    "top_k": st.just(5),
    "stop": st.sampled_from(["x", ["x", "y"]]),
    "n": st.sampled_from([1, 2]),
    "seed": st.just(7),
    "presence_penalty": st.sampled_from([0, 0.5]),
    "frequency_penalty": st.just(0.5),
    "logit_bias": st.just({"1": 1}),
    "logprobs": st.booleans(),
    "reasoning_effort": st.sampled_from(["low", "medium", "high"]),
    "response_format": st.sampled_from([FORM, {"type": "json_object"}]),
    "service_tier": st.sampled_from(["auto", "default", "flex"]),
    "verbosity": st.just("low"),
    "user": st.just("u"),
    "prompt_cache_key": st.just("k"),
    "from_the_future": st.sampled_from([1, None]),
}


@st.composite
def parts(draw: st.DrawFn) -> Any:
    text = {"type": "text", "text": draw(words)}
    others: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "file", "file": {"filename": "report.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]
    return draw(st.just(text["text"]) | st.lists(st.sampled_from([text, *others]), min_size=1, max_size=3))


@st.composite
def tool_calls(draw: st.DrawFn, first: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call{first + number}",
            "type": "function",
            "function": {"name": draw(names), "arguments": orjson.dumps(draw(arguments)).decode()},
        }
        for number in range(draw(st.integers(0, 2)))
    ]


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    said: list[dict[str, Any]] = []
    if draw(st.booleans()):
        said.append({"role": "system", "content": draw(words)})
    calls = 0
    for _ in range(draw(st.integers(1, 3))):
        said.append({"role": "user", "content": draw(parts())})
        answer: dict[str, Any] = {"role": "assistant", "content": draw(words)}
        if called := draw(tool_calls(calls)):
            answer["tool_calls"] = called
            calls += len(called)
        if draw(st.booleans()):
            detail = {"type": "reasoning.text", "text": draw(words), "signature": draw(names)}
            answer |= {"reasoning_content": detail["text"], "reasoning_details": [detail]}
        said.append(answer)
        said += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(words)}
            for call in answer.get("tool_calls") or ()
        ]
    chat: dict[str, Any] = {"model": "a/b", "messages": said}
    chat |= {name: draw(value) for name, value in OPTIONAL.items() if draw(st.booleans())}
    if draw(st.booleans()):
        chat |= {"tools": [TOOL], "tool_choice": draw(st.sampled_from(["auto", "required", NAMED, "none"]))}
        if chat["tool_choice"] != "none":
            chat["parallel_tool_calls"] = draw(st.booleans())
    return chat


def _heard(chat: Any) -> Heard:
    """What a chat completion's request asks for, without the many ways of saying it."""
    found: Heard = {"turns": [turn for message in chat["messages"] for turn in _turns(message)]}
    for name, value in chat.items():
        match name:
            case "model" | "messages" | "stream" | "stream_options" | "reasoning":
                continue
            case "stop":
                found[name] = [value] if isinstance(value, str) else value
            case "tools":
                found[name] = [
                    {part: tool["function"][part] for part in ("name", "description", "parameters")} for tool in value
                ]
            case "response_format":
                found[name] = (value.get("json_schema") or {}).get("schema") or value["type"]
            case _:
                found[name] = value
    return _plain(found)


def _turns(message: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    role = "system" if message["role"] == "developer" else message["role"]
    if role == "tool":
        yield role, message["tool_call_id"], _text(message["content"])
        return
    for detail in message.get("reasoning_details") or ():
        yield role, "thought", detail.get("text"), detail.get("signature")
    content: Any = message.get("content") or []
    parts_: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts_:
        if part["type"] == "text":
            yield role, "text", part["text"]
        elif part["type"] == "image_url":
            yield role, "image", *(inline_data(part["image_url"]["url"]) or ())
        else:
            yield role, "file", part["file"].get("filename"), *(inline_data(part["file"]["file_data"]) or ())
    for call in message.get("tool_calls") or ():
        yield role, "call", call["id"], call["function"]["name"], orjson.loads(call["function"]["arguments"])


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _as_messages(request: Any) -> Heard:
    return _heard(messages_request.to_chat(request))


def _as_responses(request: Any) -> Heard:
    unstored: Any = {**request, "store": None, "include": None}
    return _heard(responses_request.to_chat(unstored))


def _as_gemini(request: dict[str, Any]) -> Heard:
    config = request.get("generationConfig", {})
    turns: list[tuple[Any, ...]] = [
        ("system", "text", part["text"]) for part in request.get("systemInstruction", {}).get("parts", ())
    ]
    for content in request["contents"]:
        role = {"model": "assistant"}.get(content["role"], content["role"])
        for part in content["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                turns.append((role, "call", call["id"], call["name"], call["args"]))
            elif "functionResponse" in part:
                turns.append(("tool", part["functionResponse"]["id"], part["functionResponse"]["response"]["result"]))
            elif "inlineData" in part:
                data = part["inlineData"]
                turns.append((role, data["mimeType"].partition("/")[0], data["mimeType"], data["data"]))
            else:
                turns.append((role, "text", part["text"]))
    theirs = {"topP": "top_p", "topK": "top_k", "candidateCount": "n", "maxOutputTokens": "max_tokens"}
    theirs |= {"stopSequences": "stop", "presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty"}
    found: Heard = {theirs.get(name, name): value for name, value in config.items()}
    found["turns"] = turns
    form = "json_object" if found.pop("responseMimeType", None) else None
    found["response_format"] = found.pop("responseJsonSchema", form)
    found["reasoning_effort"] = found.pop("thinkingConfig", {}).get("thinkingLevel")
    found["service_tier"] = request.get("service_tier")
    for tool in request.get("tools", ()):
        found["tools"] = [
            {**function, "parameters": function["parametersJsonSchema"]} for function in tool["functionDeclarations"]
        ]
        for function in found["tools"]:
            del function["parametersJsonSchema"]
        calling = request["toolConfig"]["functionCallingConfig"]
        found["tool_choice"] = {"ANY": "required", "NONE": "none"}.get(calling["mode"], "auto")
        if "allowedFunctionNames" in calling:
            found["tool_choice"] = NAMED
    return _plain(found)


def _as_converse(request: dict[str, Any]) -> Heard:
    turns: list[tuple[Any, ...]] = [("system", "text", block["text"]) for block in request.get("system", ())]
    for message in request["messages"]:
        role = message["role"]
        for block in message["content"]:
            ((kind, value),) = block.items()
            match kind:
                case "toolUse":
                    turns.append((role, "call", value["toolUseId"], value["name"], value["input"]))
                case "toolResult":
                    turns.append(("tool", value["toolUseId"], _text(value["content"])))
                case "reasoningContent":
                    text = value["reasoningText"]
                    turns.append((role, "thought", text["text"], text["signature"]))
                case "image":
                    turns.append((role, "image", f"image/{value['format']}", value["source"]["bytes"]))
                case "document":
                    data = (f"application/{value['format']}", value["source"]["bytes"])
                    turns.append((role, "file", value["name"].replace(" pdf", ".pdf"), *data))
                case _:
                    turns.append((role, kind, value))
    config, more = request["inferenceConfig"], request.get("additionalModelRequestFields", {})
    found: Heard = {"turns": turns, "max_tokens": config["maxTokens"], "top_k": more.get("top_k")}
    for theirs, ours in (("temperature", "temperature"), ("topP", "top_p"), ("stopSequences", "stop")):
        found[ours] = config.get(theirs)
    found["service_tier"] = request.get("serviceTier", {}).get("type")
    budget = more.get("thinking", {}).get("budget_tokens")
    found["reasoning_effort"] = {tokens: effort for effort, tokens in BUDGETS.items()}.get(budget)
    form = request.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    found["response_format"] = orjson.loads(form["schema"]) if form else None
    if "toolConfig" in request:
        specs = [tool["toolSpec"] for tool in request["toolConfig"]["tools"]]
        found["tools"] = [
            {"name": spec["name"], "description": spec["description"], "parameters": spec["inputSchema"]["json"]}
            for spec in specs
        ]
        ((choice, _),) = request["toolConfig"].get("toolChoice", {"auto": {}}).items()
        found["tool_choice"] = {"any": "required", "tool": NAMED}.get(choice, "auto")
    return _plain(found)


def _plain(found: Heard) -> Heard:
    """Without what asks for nothing."""
    neutral = {"n": 1, "presence_penalty": 0, "tool_choice": "auto", "parallel_tool_calls": True, "logprobs": False}
    return {name: value for name, value in found.items() if value is not None and neutral.get(name, ...) != value}


AS: dict[ProtocolName, Callable[[dict[str, Any]], Heard]] = {
    "openai-chat": _heard,
    "openai-responses": _as_responses,
    "anthropic-messages": _as_messages,
    "gemini": _as_gemini,
    "bedrock-converse": _as_converse,
}


def _sent(chat: dict[str, Any], protocol: ProtocolName) -> tuple[dict[str, Any], set[str]]:
    call = Call(
        Surface.CHAT_COMPLETIONS,
        chat,
        "a/b",
        "gemini-3-pro",
        streamed=False,
        cap_tokens=None,
        most_tokens=99,
        created_s=1,
    )
    outgoing = exchange(call, Provider(base_url="http://x", protocol=protocol)).outgoing
    return orjson.loads(outgoing.content), set(outgoing.dropped)


@pytest.mark.parametrize("protocol", AS)
@given(chat=chats())
def test_what_is_asked_for_arrives_or_is_told(protocol: ProtocolName, chat: dict[str, Any]) -> None:
    request, dropped = _sent(chat, protocol)
    heard, expected = AS[protocol](request), _heard(chat)
    for name in dropped:
        assert expected.pop(name, None) is not None or name == "tool_choice", name
    for name in HINTS - set(heard):
        expected.pop(name, None)
    if "safety_identifier" not in chat:
        heard.pop("safety_identifier", None)
    if protocol == "bedrock-converse" and chat.get("tool_choice") == "none":
        # It has no word for "none": the tools are not sent, unless one was called before, and then that is told.
        expected.pop("tool_choice", None)
        if "tools" not in heard:
            expected.pop("tools", None)
    assert heard.pop("max_tokens", None) in (chat.get("max_tokens"), 99 if "max_tokens" not in chat else None)
    expected.pop("max_tokens", None)
    expected["turns"] = [turn for turn in expected["turns"] if _can_say(protocol, turn)]
    if protocol == "gemini":
        expected["turns"] = [_without_name(turn) for turn in expected["turns"]]
        heard["turns"] = [_without_name(turn) for turn in heard["turns"]]
    assert heard == expected


def _can_say(protocol: ProtocolName, turn: tuple[Any, ...]) -> bool:
    """Claude's signed thoughts are nothing to other models; docs/providers.md says so."""
    return turn[1] != "thought" or protocol in ("openai-chat", "anthropic-messages", "bedrock-converse")


def _without_name(turn: tuple[Any, ...]) -> tuple[Any, ...]:
    """Gemini's inline data has no name."""
    return (turn[0], "data", *turn[-2:]) if turn[1] in ("file", "image", "application") else turn


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """A chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | words)}
    if draw(st.booleans()):
        message["reasoning_content"] = draw(words)
        detail = {"type": "reasoning.text", "text": message["reasoning_content"], "signature": draw(names)}
        message["reasoning_details"] = [detail]
    called = draw(tool_calls(0))
    if called:
        message["tool_calls"] = called
        if draw(st.booleans()):
            message["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": draw(names)}}
    reason = "tool_calls" if called else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return {
        "id": "c1",
        "created": 5,
        "model": "a/b",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 9,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 7},
        },
    }


@given(answers())
def test_an_answer_as_a_message_and_back_is_the_same(answer: Completion) -> None:
    message = DIALECTS[Surface.MESSAGES].whole(answer, {})
    again = anthropic_messages_answer.parse_response(orjson.dumps(message), model="a/b", created_s=5).answer
    assert _said(again) == _said(answer)
    assert _counts(again) == _counts(answer)


@given(answers())
def test_an_answer_as_a_response_and_back_is_the_same(answer: Completion) -> None:
    response = DIALECTS[Surface.RESPONSES].whole(answer, {})
    again = openai_responses_answer.parse_response(orjson.dumps(response), model="a/b").answer
    assert _said(again) == _said(answer)
    assert _counts(again) == _counts(answer)


@given(answers())
def test_what_only_the_model_can_read_comes_back_through_clients_of_messages(answer: Completion) -> None:
    content: Any = DIALECTS[Surface.MESSAGES].whole(answer, {})["content"]
    turns: Any = [{"role": "user", "content": "x"}, {"role": "assistant", "content": content}]
    again = messages_request.to_chat({"model": "a/b", "max_tokens": 1, "messages": turns})
    assert _kept(again["messages"][-1]) == _kept(answer["choices"][0]["message"])
    kept = messages_request.without_carried({"messages": turns})["messages"][-1]["content"]
    assert b"sluice." not in orjson.dumps(kept)
    assert [block for block in content if block in kept] == kept


@given(answers())
def test_what_only_the_model_can_read_comes_back_through_clients_of_responses(answer: Completion) -> None:
    output: Any = DIALECTS[Surface.RESPONSES].whole(answer, {})["output"]
    if not [item for item in output if item["type"] != "reasoning"]:
        return
    given_: Any = [{"role": "user", "content": "x"}, *output]
    again = responses_request.to_chat({"model": "a/b", "input": given_})
    assert _kept(again["messages"][-1]) == _kept(answer["choices"][0]["message"])
    kept = responses_request.without_carried({"input": given_})["input"]
    assert b"sluice." not in orjson.dumps(kept)
    assert [item for item in given_ if item in kept] == kept


def _kept(message: Any) -> Any:
    names_ = ("content", "reasoning_content", "reasoning_details", "tool_calls")
    return {name: message[name] for name in names_ if message.get(name)}


@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()))
def test_a_field_that_a_client_made_up_harms_nobody(text: str) -> None:
    assert opened(text) is None or text.startswith("sluice.")
    assert isinstance(opened(f"sluice.{text}"), Carried)


def _said(answer: Any) -> tuple[Any, ...]:
    choice = answer["choices"][0]
    message = choice["message"]
    thought = message.get("reasoning_content") or None
    return choice["finish_reason"], thought, list(_turns({**message, "reasoning_details": []}))


def _counts(answer: Any) -> tuple[int, ...]:
    usage = answer["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


ALONE: dict[str, dict[str, Any]] = {
    "temperature, top_p": {"temperature": 0.5, "top_p": 0.9},
    "top_k": {"top_k": 5},
    "stop": {"stop": ["x"]},
    "n above 1": {"n": 2},
    "seed": {"seed": 7},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    "logit_bias": {"logit_bias": {"1": 1}},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"top_logprobs": 2},
    "tool_choice: none": {"tools": [TOOL], "tool_choice": "none"},
    "parallel_tool_calls: false": {"tools": [TOOL], "parallel_tool_calls": False},
    "response_format: json_schema": {"response_format": FORM},
    "response_format: json_object": {"response_format": {"type": "json_object"}},
    "reasoning_effort": {"reasoning_effort": "low", "max_tokens": 9_000},
    "reasoning: {max_tokens}": {"reasoning": {"max_tokens": 2_000}, "max_tokens": 9_000},
    "temperature beside reasoning_effort": {"reasoning_effort": "low", "max_tokens": 9_000, "temperature": 0.5},
    "reasoning_effort beside tool_choice: required": {
        "reasoning_effort": "low",
        "max_tokens": 9_000,
        "tools": [TOOL],
        "tool_choice": "required",
    },
    "service_tier: flex": {"service_tier": "flex"},
    "verbosity": {"verbosity": "low"},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "web_search_options": {"web_search_options": {"search_context_size": "low"}},
    "modalities: audio": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
}


def test_the_document_lists_what_cannot_be_said(request: pytest.FixtureRequest) -> None:
    lines = [f"| | {' | '.join(f'`{protocol}`' for protocol in AS)} |", "|---|" + "---|" * len(AS)]
    for label, fields in ALONE.items():
        turn = {"role": "user", "content": "hi"}
        called = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        said = [turn, {"role": "assistant", "tool_calls": [called]}] if label == "tool_choice: none" else [turn]
        dropped = [_sent({"model": "a/b", "messages": said, **fields}, protocol)[1] for protocol in AS]
        cells = [", ".join(f"`{name}`" for name in sorted(names_)) or "sent" for names_ in dropped]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    agrees(ROOT / "docs/providers.md", "what is left out", "\n".join(lines) + "\n", request.config)


def test_every_protocol_is_among_them() -> None:
    assert set(AS) == set(ADAPTERS)
