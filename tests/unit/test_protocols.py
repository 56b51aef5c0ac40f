"""Adapters against plain models: botocore's own service model for Converse, and streams in every way of being cut."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import botocore.session
import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from deploy.local.stub.answers import StubRequest, answer_to
from libs.chat.providers.anthropic_messages import request as anthropic_messages_request
from libs.chat.providers.bedrock_converse import framing as bedrock_converse_framing
from libs.chat.providers.bedrock_converse import request as bedrock_converse_request
from libs.chat.providers.bedrock_converse import signing as bedrock_converse_signing
from libs.chat.providers.exchange import exchange
from libs.chat.providers.gemini import request as gemini_request
from libs.chat.providers.gemini.stream import GeminiReader
from libs.chat.providers.protocol import Call, ProtocolError
from libs.chat.providers.registry import ADAPTERS
from libs.chat.shapes.completion import Chunk, Delta
from libs.chat.surfaces.writer import text_of
from libs.config.providers import ProtocolName, Provider
from services.relay.upstream import Response, UpstreamError, read_events
from tests.unit.streams import STUBS, Pieces

BODY: Any = {
    "model": "a/b",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "héllo"}]},
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    "tool_choice": "required",
    "temperature": 0.5,
    "stop": "x",
    "max_tokens": 9,
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "seed": 7,
    "logit_bias": {"1": 2},
}


def _call(*, streamed: bool = False, upstream_model: str = "up") -> Call:
    return Call(
        Surface.CHAT_COMPLETIONS,
        BODY,
        "a/b",
        upstream_model,
        streamed,
        cap_tokens=None,
        most_tokens=100,
        created_s=1,
        cache=True,
    )


def _provider(protocol: ProtocolName, **more: Any) -> Provider:
    return Provider(base_url="http://x", protocol=protocol, **more)


def test_converse_takes_what_is_sent_by_aws_s_own_model() -> None:
    shape = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    video = {"type": "video_url", "video_url": {"url": "data:video/quicktime;base64,aGk="}}
    shown: Any = {**BODY, "messages": [*BODY["messages"], {"role": "user", "content": [video]}]}
    for body, beside in ((shown, "reasoning_effort"), (_thinking(), "temperature")):
        sent = bedrock_converse_request.build_request(
            body, _call(upstream_model="us.m:0"), _provider("bedrock-converse")
        )
        assert sent.path == "/model/us.m%3A0/converse"
        assert set(sent.dropped) == {"logit_bias", "seed", beside}
        request = {**orjson.loads(sent.content), "modelId": "us.m:0"}
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()


def test_an_access_key_signs_as_botocore_does_and_goes_to_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    key = '{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"not-a-secret","region":"eu-west-1"}'
    sent = bedrock_converse_signing.authorize(
        key, "https://bedrock-runtime.{region}.amazonaws.com/model/m/converse", b"{}"
    )
    assert sent.url == "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse"
    assert "/eu-west-1/bedrock/aws4_request" in sent.headers["Authorization"]
    assert "not-a-secret" not in repr(sent) + str(dict(sent.headers))
    bearer = bedrock_converse_signing.authorize("abc", "https://bedrock-runtime.{region}.amazonaws.com/x", b"")
    assert (bearer.url.split(".")[1], bearer.headers) == ("us-east-1", {"Authorization": "Bearer abc"})
    seen: list[str] = []

    def sign(_self: SigV4Auth, request: Any) -> None:
        seen.append(request.url)
        request.headers["Authorization"] = request.headers["X-Amz-Date"] = "x"

    monkeypatch.setattr(SigV4Auth, "add_auth", sign)
    bedrock_converse_signing.check(key, "https://bedrock-runtime.{region}.amazonaws.com")
    assert seen == ["https://bedrock.eu-west-1.amazonaws.com/foundation-models"]


def test_gemini_says_all_that_it_can() -> None:
    sent = gemini_request.build_request(BODY, _call(streamed=True, upstream_model="gemini-3-pro"), _provider("gemini"))
    assert sent.path == "/models/gemini-3-pro:streamGenerateContent?alt=sse"
    assert sent.dropped == ("logit_bias",)
    request = orjson.loads(sent.content)
    assert [content["role"] for content in request["contents"]] == ["user", "model", "user"]
    call = request["contents"][1]["parts"][1]
    assert call == {
        "functionCall": {"id": "c1", "name": "f", "args": {"a": 1}},
        "thoughtSignature": gemini_request.UNSIGNED,
    }
    result, image = request["contents"][2]["parts"]
    assert result["functionResponse"] == {"id": "c1", "name": "f", "response": {"result": "sunny"}}
    assert image["inlineData"] == {"mimeType": "image/png", "data": "aGk="}
    assert request["generationConfig"] == {
        "temperature": 0.5,
        "seed": 7,
        "maxOutputTokens": 9,
        "stopSequences": ["x"],
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"},
    }
    assert request["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


@pytest.mark.parametrize("protocol", STUBS)
def test_what_a_provider_refuses_is_left_out_and_told_whatever_its_protocol(protocol: ProtocolName) -> None:
    refused = ["temperature", "stop", "tool_choice", "max_tokens"]
    outgoing = exchange(_call(), _provider(protocol)).outgoing
    sent = exchange(_call(), _provider(protocol, unsupported=refused)).outgoing
    assert set(sent.dropped) == {*outgoing.dropped, *refused}
    assert b"0.5" not in sent.content
    assert b'"x"' not in sent.content


def test_a_list_of_what_is_taken_is_of_chat_completions_and_leaves_native_requests_alone() -> None:
    """A native request has fields of other names for the same things."""
    body = {"model": "a/b", "input": "hi", "max_output_tokens": 9, "seed": 7, "store": False}
    native = replace(_call(), surface=Surface.RESPONSES, body=body)
    provider = _provider("openai-chat", native=["responses"], fields=["temperature"], unsupported=["seed"])
    sent = exchange(native, provider).outgoing
    kept = {"input": "hi", "max_output_tokens": 9, "store": False}
    assert orjson.loads(sent.content) == {**kept, "model": "up", "stream": False}
    assert sent.dropped == ("seed",)
    assert set(exchange(_call(), provider).outgoing.dropped) > {"seed", "logit_bias", "stop"}


def _thinking(**more: Any) -> Any:
    """A conversation in which Claude may think: its thoughts came back, and no tool must be called."""
    thought = {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "c2ln"}]}
    messages = [{**message, **thought} if message["role"] == "assistant" else message for message in BODY["messages"]]
    return {**BODY, "messages": messages, "tool_choice": "auto", "max_tokens": 9_000, **more}


def test_a_temperature_of_zero_beside_a_thought_is_told_too() -> None:
    body = _thinking(temperature=0, top_k=0)
    protocols: tuple[ProtocolName, ...] = ("anthropic-messages", "bedrock-converse")
    for protocol in protocols:
        sent = ADAPTERS[protocol].build(body, _call(), _provider(protocol))
        assert {"temperature", "top_k"} <= set(sent.dropped), protocol


def test_claude_thinks_as_its_version_wants() -> None:
    body = _thinking()
    old = anthropic_messages_request.build_request(body, _call(), _provider("anthropic-messages"))
    request = orjson.loads(old.content)
    assert request["thinking"] == {"type": "enabled", "budget_tokens": 2_048}
    assert "temperature" in old.dropped
    assert "temperature" not in request
    new = anthropic_messages_request.build_request(body, _call(), _provider("anthropic-messages", thinking="adaptive"))
    request = orjson.loads(new.content)
    assert request["thinking"]["type"] == "adaptive"
    assert request["output_config"]["effort"] == "low"
    assert request["output_config"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("changes", "budget", "adaptive"),
    [
        ({}, True, True),
        ({"tool_choice": "required"}, False, False),
        ({"messages": BODY["messages"]}, False, True),
        ({"max_tokens": 2_048}, False, True),
    ],
    ids=["may", "a tool must be called", "a call's thought is missing", "no room"],
)
def test_claude_does_not_think_where_that_is_refused_and_the_client_is_told(
    changes: dict[str, Any], budget: bool, adaptive: bool
) -> None:
    body = _thinking(**changes)
    protocols: tuple[ProtocolName, ...] = ("anthropic-messages", "bedrock-converse")
    for protocol in protocols:
        for manner, thinks in (("budget", budget), ("adaptive", adaptive)):
            sent = ADAPTERS[protocol].build(body, _call(), _provider(protocol, thinking=manner))
            assert ((b'"thinking":{"type"' in sent.content), ("reasoning_effort" in sent.dropped)) == (
                thinks,
                not thinks,
            )


async def _read(protocol: ProtocolName, pieces: list[bytes]) -> tuple[list[Delta], Chunk | None]:
    adapter = ADAPTERS[protocol]
    response = Response(200, {"content-type": "text/event-stream"}, Pieces(pieces))
    reader = adapter.reader(_call(streamed=True))
    chunks: list[Chunk] = []
    async for data in read_events("p", response, adapter.framing()):
        chunks += reader.read(data)
    assert reader.finished
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]], reader.tail(None)


@pytest.mark.parametrize("protocol", STUBS)
@given(cuts=st.lists(st.integers(0, 5_000), max_size=12))
async def test_a_stream_is_the_same_however_it_is_cut(protocol: ProtocolName, cuts: list[int]) -> None:
    stub = STUBS[protocol]
    request = StubRequest({}, "up", "[[stub chunks=4 tool=2 think=1 cache=3]] hé", 9, None, True, {"weather": {}})
    answer = answer_to(request, stub.call_prefix)
    words = [stub.word(answer, number) for number in range(len(answer.words))]
    data = b"".join([*stub.opening(answer), *words, *stub.closing(answer)])
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    pieces = [data[begin:end] for begin, end in pairwise(places)]
    deltas, tail = await _read(protocol, pieces)
    assert "".join(text_of(delta.get("content")) for delta in deltas) == answer.text
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == answer.thought
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    for number in range(2):
        arguments = "".join(call["function"]["arguments"] for call in calls if call["index"] == number)
        assert orjson.loads(arguments) == {"city": "Graz"}
    assert tail is not None
    assert tail["usage"]["prompt_tokens"] == answer.input_tokens
    assert tail["usage"]["completion_tokens"] == answer.output_tokens


async def test_a_damaged_frame_is_no_answer() -> None:
    stub = STUBS["bedrock-converse"]
    data = bytearray(b"".join(stub.opening(answer_to(StubRequest({}, "up", "x", 1, None, True, {}), "c"))))
    data[-1] ^= 1
    with pytest.raises(ProtocolError):
        bedrock_converse_framing.EventStream().feed(bytes(data))
    with pytest.raises(UpstreamError):
        await _read("bedrock-converse", [bytes(data)])


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [
        ("STOP", False, "stop"),
        ("STOP", True, "tool_calls"),
        ("FUNCTION_CALL", True, "tool_calls"),
        ("OF_THE_FUTURE", False, "stop"),
        ("SAFETY", False, "content_filter"),
        ("MAX_TOKENS", False, "length"),
    ],
)
def test_a_reason_that_gemini_has_not_documented_is_no_filter(reason: str, calls: bool, expected: str) -> None:
    part: Any = {"functionCall": {"name": "weather", "args": {}}} if calls else {"text": "so"}
    reader = GeminiReader(model="a/b", created_s=1)
    chunks = reader.read_object({"candidates": [{"content": {"parts": [part]}, "finishReason": reason}]})
    assert chunks[-1]["choices"][0]["finish_reason"] == expected
