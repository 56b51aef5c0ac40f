"""Content is said in the provider's words or refused by name; it is never left out in silence."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.surfaces.writer import SurfaceError
from libs.config.providers import ProtocolName, Provider

TRANSLATED: tuple[ProtocolName, ...] = ("openai-responses", "anthropic-messages", "gemini", "bedrock-converse")
ALL: tuple[ProtocolName, ...] = ("openai-chat", *TRANSLATED)
DATA = "aGVsbG8="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}
VIDEO = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{DATA}"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{DATA}"}}
FILE_ID = {"type": "file", "file": {"file_id": "file-1"}}
TAKES: dict[str, tuple[dict[str, Any], str, set[ProtocolName]]] = {
    "image": (IMAGE, DATA, {*ALL}),
    "file": (FILE, DATA, {*ALL}),
    "audio": (AUDIO, DATA, {"openai-chat", "openai-responses", "gemini"}),
    "video": (VIDEO, DATA, {"openai-chat", "gemini", "bedrock-converse"}),
    "file by ID": (FILE_ID, "file-1", {"openai-chat", "openai-responses"}),
    "refusal": ({"type": "refusal", "refusal": "I cannot"}, "I cannot", {*ALL}),
    "of the future": ({"type": "hologram", "hologram": {"data": DATA}}, DATA, {"openai-chat"}),
    "an image without one": ({"type": "image_url", "image_url": {}}, "image_url", {"openai-chat"}),
}


def _sent(
    protocol: ProtocolName, body: dict[str, Any], surface: Surface = Surface.CHAT_COMPLETIONS, **more: Any
) -> Any:
    call = Call(surface, {"model": "a/b", **body}, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1)
    return orjson.loads(exchange(call, Provider(base_url="http://x", protocol=protocol, **more)).outgoing.content)


def _chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), **more}


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("name", TAKES)
def test_a_part_arrives_or_is_refused_by_its_place_and_type(protocol: ProtocolName, name: str) -> None:
    part, mark, takers = TAKES[name]
    body = _chat({"role": "user", "content": [{"type": "text", "text": "what?"}, part]})
    if protocol in takers:
        assert mark in orjson.dumps(_sent(protocol, body)).decode()
        return
    with pytest.raises(SurfaceError, match=r"`messages\[0\]\.content\[1\]`.*" + part["type"]):
        _sent(protocol, body)


@pytest.mark.parametrize("protocol", TRANSLATED)
@pytest.mark.parametrize("role", ["system", "assistant"])
def test_only_users_and_tools_show_images(protocol: ProtocolName, role: str) -> None:
    with pytest.raises(SurfaceError, match=r"`messages\[0\]\.content\[0\]`.*image_url"):
        _sent(protocol, _chat({"role": role, "content": [IMAGE]}, {"role": "user", "content": "a"}))


@pytest.mark.parametrize("protocol", ALL)
def test_a_refusal_of_an_earlier_turn_is_said(protocol: ProtocolName) -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I cannot"}
    sent = _sent(protocol, _chat({"role": "user", "content": "a"}, refused, {"role": "user", "content": "b"}))
    assert "I cannot" in orjson.dumps(sent).decode()


def test_a_refusal_is_said_to_a_provider_that_takes_no_field_for_it() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I cannot"}
    sent = _sent("openai-chat", _chat(refused), message_fields=["role", "content"])
    assert sent["messages"] == [{"role": "assistant", "content": "I cannot"}]
    assert _sent("openai-chat", _chat(refused), message_fields=["role", "refusal"])["messages"][0]["refusal"]


@pytest.mark.parametrize("protocol", ["anthropic-messages", "gemini", "bedrock-converse"])
def test_instructions_alone_are_what_the_user_says(protocol: ProtocolName) -> None:
    sent = _sent(protocol, _chat({"role": "system", "content": "Say hello."}))
    turns = sent.get("messages") or sent["contents"]
    assert [turn["role"] for turn in turns] == ["user"]
    assert "Say hello." in orjson.dumps(turns).decode()
    assert not sent.get("system") and not sent.get("systemInstruction")


@pytest.mark.parametrize("protocol", TRANSLATED)
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (_chat({"role": "user", "content": "a"}, functions=["f"]), "functions"),
        (_chat({"role": "user", "content": "a"}, function_call=7), "function_call"),
        (_chat({"role": "assistant", "content": None, "function_call": "f"}), r"messages\[0\].function_call"),
        (_chat({"role": "function", "name": "f", "content": "x"}), "no message is left"),
        (_chat({"role": "assistant", "audio": {"id": "audio_1"}}), r"messages\[0\].audio"),
        (_chat({"role": ["user"], "content": "a"}), r"messages\[0\].role"),
        (_chat({"role": "user", "content": 7}), r"messages\[0\].content"),
        (_chat({"role": "assistant", "content": 7, "refusal": "no"}), r"messages\[0\].content"),
        (_chat({"role": "user", "content": ["text"]}), r"messages\[0\].content\[0\]"),
        (_chat({"role": "user", "content": "a"}, tools=["f"]), "tools"),
    ],
)
def test_what_only_openai_understands_is_refused_by_name(
    protocol: ProtocolName, body: dict[str, Any], named: str
) -> None:
    with pytest.raises(SurfaceError, match=named):
        _sent(protocol, body)
    assert _sent("openai-chat", body)["messages"] == body["messages"]


def test_a_provider_with_a_list_of_fields_is_not_sent_half_a_message() -> None:
    called = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    with pytest.raises(SurfaceError, match=r"messages\[0\].function_call"):
        _sent("openai-chat", _chat(called), message_fields=["role", "content"])
    with pytest.raises(SurfaceError, match=r"messages\[0\].content\[0\]"):
        _sent("openai-chat", _chat({"role": "user", "content": ["text"]}), message_fields=["role", "content"])


def test_a_tool_s_result_without_its_call_is_no_conversation() -> None:
    with pytest.raises(SurfaceError, match="no message"):
        _sent("anthropic-messages", _chat({"role": "tool", "tool_call_id": "c", "content": "x"}))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([{"type": "image", "source": {"type": "file", "file_id": "file_1"}}], "image"),
        ([{"type": "document", "source": {"type": "file", "file_id": "file_1"}}], "document"),
        ([{"type": "image", "source": {"type": "base64"}}], "image"),
    ],
)
def test_files_that_anthropic_keeps_are_refused_for_others(content: list[Any], named: str) -> None:
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    with pytest.raises(SurfaceError, match=named):
        _sent("openai-chat", body, Surface.MESSAGES)


def test_a_document_of_text_blocks_is_said() -> None:
    blocks = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    document = {"type": "document", "source": {"type": "content", "content": blocks}}
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": [document]}]}
    assert _sent("openai-chat", body, Surface.MESSAGES)["messages"][0]["content"] == [
        {"type": "text", "text": "one two"}
    ]


@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "mcp_tool_use"])
def test_what_anthropic_s_own_tools_said_is_refused_for_others(kind: str) -> None:
    said = {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": kind}]}
    with pytest.raises(SurfaceError, match=kind):
        _sent("openai-chat", {"max_tokens": 9, "messages": [said]}, Surface.MESSAGES)


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_images_of_anybody_but_the_user_are_refused_not_lost(role: str) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
    with pytest.raises(SurfaceError, match="input_image"):
        _sent("openai-chat", {"input": [{"role": role, "content": [image]}]}, Surface.RESPONSES)
