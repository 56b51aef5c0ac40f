"""The chat completions protocol: what goes up, what comes down, and what the books learn of it."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.errors import provider_refusal
from libs.chat.providers.exchange import exchange
from libs.chat.providers.openai_chat.answer import parse_response
from libs.chat.providers.openai_chat.request import SHOWN, build_request
from libs.chat.providers.openai_chat.stream import ChatReader
from libs.chat.providers.openai_chat.usage import parse_usage
from libs.chat.providers.protocol import Call, ProtocolError, ProviderFailure
from libs.chat.providers.translation import Translated
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.registry import delivered_bytes
from libs.config.providers import Provider


def _stream(model: str) -> Translated:
    return Translated(ChatReader(model=model), ChatWriter(usage=True))


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def _chunk(text: str | None = None, **more: object) -> str:
    delta = {} if text is None else {"content": text}
    return orjson.dumps(
        {"id": "c", "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}
    ).decode()


def test_the_model_is_renamed_and_usage_always_asked_for() -> None:
    body: Any = {"model": "a/b", "messages": [], "tools": [1], "stream_options": {"x": 1}}
    provider = Provider(base_url="http://x", unsupported=["seed"])
    sent = exchange(_call({**body, "seed": 7}, streamed=True), provider).outgoing
    assert sent.dropped == ("seed",)
    up = orjson.loads(sent.content)
    assert up == {
        "model": "b-1",
        "messages": [],
        "tools": [1],
        "stream": True,
        "stream_options": {"x": 1, "include_usage": True},
    }
    assert "stream_options" not in orjson.loads(build_request(body, _call(body, streamed=False), provider).content)


@pytest.mark.parametrize("said", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("theirs", ["max_tokens", "max_completion_tokens"])
def test_a_limit_has_the_name_that_the_provider_knows(said: str, theirs: str) -> None:
    body: Any = {"messages": [], said: 9}
    sent = build_request(body, _call(body, streamed=False), Provider(base_url="http://x", max_tokens_field=theirs))
    limits = {name: value for name, value in orjson.loads(sent.content).items() if name.startswith("max_")}
    assert limits == {theirs: 9}


def _call(body: dict[str, Any], *, streamed: bool) -> Call:
    return Call(Surface.CHAT_COMPLETIONS, body, "a/b", "b-1", streamed, cap_tokens=None, most_tokens=100, created_s=1)


@given(st.lists(st.text(max_size=5), max_size=8), st.integers(0, 8), st.booleans())
def test_text_passes_whole_and_usage_comes_last(texts: list[str], usage_at: int, with_choices: bool) -> None:
    stream, out = _stream(model="a/b"), ""
    events = [_chunk(text) for text in texts]
    usage = _chunk(usage=USAGE) if with_choices else orjson.dumps({"id": "c", "choices": [], "usage": USAGE}).decode()
    events.insert(min(usage_at, len(events)), usage)
    for event in [*events, "[DONE]"]:
        out += stream.event(event)
    out += stream.finish(None)
    lines = [line.removeprefix("data: ") for line in out.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    chunks = [orjson.loads(line) for line in lines[:-1]]
    assert chunks[-1]["usage"] == USAGE
    assert chunks[-1]["choices"] == []
    assert all("usage" not in chunk and chunk["model"] == "a/b" for chunk in chunks[:-1])
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]) == "".join(texts)
    assert stream.delivered_bytes == sum(len(text.encode()) for text in texts)
    assert stream.usage == TokenUsage(input_tokens=5, output_tokens=2)
    assert delivered_bytes(out) == stream.delivered_bytes


def test_a_role_is_said_once_a_choice() -> None:
    reader = ChatReader(model="m")
    said = [
        reader.read(orjson.dumps({"choices": [{"index": index, "delta": {"role": "assistant"}}]}).decode())
        for index in (0, 0, 1, 0, 1)
    ]
    roles = [chunk["choices"][0]["delta"].get("role") for (chunk,) in said]
    assert roles == ["assistant", None, "assistant", None, None]


def test_a_strict_provider_gets_of_requests_and_messages_what_it_knows() -> None:
    part = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    thought = {"role": "assistant", "content": "so", "reasoning_content": "hm", "tool_calls": None}
    chat = {"messages": [{"role": "user", "name": "n", "content": [part]}, thought], "top_k": 5, "seed": 7}
    strict = Provider(base_url="http://x", fields=["seed"], message_fields=["role", "content", "tool_calls"])
    outgoing = exchange(_call(chat, streamed=False), strict).outgoing
    sent = orjson.loads(outgoing.content)
    assert sent["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": "so"},
    ]
    assert (sent["seed"], "top_k" in sent, outgoing.dropped) == (7, False, ("top_k",))


def test_images_of_a_tool_s_result_follow_as_the_user_s() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    text = {"type": "text", "text": "a cat"}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "assistant", "tool_calls": [call, {**call, "id": "d"}]}
    first, second = ({"role": "tool", "tool_call_id": name} for name in "cd")
    thanks = {"role": "user", "content": "thanks"}
    for rest in ([], [thanks]):
        given_ = [asked, {**first, "content": [text, image]}, {**second, "content": [image]}, *rest]
        chat: dict[str, Any] = {"messages": given_}
        sent = orjson.loads(exchange(_call(chat, streamed=False), Provider(base_url="http://x")).outgoing.content)
        assert sent["messages"] == [
            asked,
            {**first, "content": "a cat"},
            {**second, "content": SHOWN},
            {"role": "user", "content": [image, image]},
            *rest,
        ]


def test_without_usage_our_own_count_comes_last() -> None:
    stream = _stream(model="a/b")
    stream.event(_chunk("hello"))
    assert stream.usage is None
    assert '"total_tokens":7' in stream.finish(TokenUsage(input_tokens=5, output_tokens=2))


@pytest.mark.parametrize("data", ["nonsense", "[]", '{"hello":1}'])
def test_what_is_no_chunk_is_an_error(data: str) -> None:
    with pytest.raises(ProtocolError):
        _stream(model="m").event(data)


def test_an_error_inside_the_stream_is_the_providers() -> None:
    with pytest.raises(ProviderFailure, match="overloaded"):
        _stream(model="m").event('{"error":{"message":"overloaded"}}')


def test_a_whole_answer_is_renamed_and_counted() -> None:
    data = orjson.dumps({"model": "up", "choices": [{"message": {"content": "héllo"}}], "usage": USAGE})
    answer = parse_response(data, model="a/b")
    assert answer.answer["model"] == "a/b"
    assert (answer.usage, answer.delivered_bytes) == (TokenUsage(input_tokens=5, output_tokens=2), 6)
    for wrong in (b"", b"[]", b'{"object":"x"}'):
        with pytest.raises(ProtocolError):
            parse_response(wrong, model="a/b")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({"prompt_tokens": -1, "completion_tokens": 1}, None),
        ({"prompt_tokens": "5", "completion_tokens": 1}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, TokenUsage()),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
            TokenUsage(input_tokens=9, output_tokens=4, cache_read_tokens=3, cache_write_tokens=2, reasoning_tokens=1),
        ),
    ],
)
def test_usage_is_the_providers_own_zero_included(usage: object, expected: TokenUsage | None) -> None:
    assert parse_usage(usage) == expected


@pytest.mark.parametrize(
    ("provider_status", "byok", "ours"),
    [
        (400, False, 400),
        (422, False, 400),
        (413, False, 413),
        (401, False, 502),
        (403, False, 502),
        (401, True, 401),
        (402, False, 503),
        (402, True, 402),
        (404, False, 502),
        (429, False, 429),
        (500, False, 502),
        (503, False, 503),
        (529, False, 502),
    ],
)
def test_provider_errors_map_as_documented(provider_status: int, byok: bool, ours: int) -> None:
    refusal = provider_refusal(
        provider_status, b'{"error":{"message":"words"}}', provider_id="p", byok=byok, retry_after_s=7
    )
    assert refusal.status == ours
    if ours == 429:
        assert refusal.retry_after_s == 7
    if provider_status in (401, 403) and not byok:
        assert "words" not in refusal.message
