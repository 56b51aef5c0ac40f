"""What a request says, whatever its protocol: a plain model, to compare what went in with what came out."""

import json
from collections.abc import Iterator
from typing import Any

from contracts.requests import Surface
from libs.config.providers import ProtocolName

Fact = tuple[str, ...]
"""``("user" | "assistant", text)``, ``("call", name, JSON)``, ``("result", text)`` or ``("image", base64)``."""
FAILED = "Error: "
"""So begins a failed result where the protocol has no field for that."""
IN_NEXT_MESSAGE = "The result is shown in the next message."


def of_messages(body: dict[str, Any]) -> Iterator[Fact]:
    """Of Anthropic's Messages."""
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            if block["type"] == "tool_result":
                yield from _result(block["content"], failed=block.get("is_error", False))
            elif block["type"] == "tool_use":
                yield "call", block["name"], _sorted(block["input"])
            elif block["type"] == "image":
                yield "image", block["source"]["data"]
            elif block["type"] == "text" and message["role"] != "system":
                yield message["role"], block["text"]


def of_responses(body: dict[str, Any]) -> Iterator[Fact]:
    """Of OpenAI's Responses."""
    for item in body["input"]:
        if item["type"].endswith("_call_output"):
            yield from _result(item["output"])
        elif item["type"] == "function_call":
            yield "call", item["name"], _sorted(json.loads(item["arguments"]))
        elif item["type"] == "custom_tool_call":
            yield "call", item["name"], _sorted({"input": item["input"]})
        elif item["type"] == "message" and item["role"] in ("user", "assistant"):
            yield from _spoken(item["role"], _blocks(item["content"]))


def of_chat(body: dict[str, Any]) -> Iterator[Fact]:
    """Of chat completions."""
    for message in body["messages"]:
        if message["role"] == "tool":
            yield from _result(message["content"])
        elif message["role"] in ("user", "assistant"):
            yield from _spoken(message["role"], _blocks(message["content"]))
            for call in message.get("tool_calls") or ():
                yield "call", call["function"]["name"], _sorted(json.loads(call["function"]["arguments"]))


def of_gemini(body: dict[str, Any]) -> Iterator[Fact]:
    """Of Gemini."""
    for content in body["contents"]:
        for part in content["parts"]:
            if "functionResponse" in part:
                yield from _result(part["functionResponse"]["response"]["result"])
            elif "functionCall" in part:
                yield "call", part["functionCall"]["name"], _sorted(part["functionCall"]["args"])
            elif "inlineData" in part:
                yield "image", part["inlineData"]["data"]
            elif "thought" not in part:
                yield {"model": "assistant"}.get(content["role"], content["role"]), part["text"]


def of_converse(body: dict[str, Any]) -> Iterator[Fact]:
    """Of Bedrock's Converse."""
    for message in body["messages"]:
        for block in message["content"]:
            if "toolResult" in block:
                for part in block["toolResult"]["content"]:
                    if "image" in part:
                        yield "image", part["image"]["source"]["bytes"]
                    else:
                        yield "result", part["text"]
            elif "toolUse" in block:
                yield "call", block["toolUse"]["name"], _sorted(block["toolUse"]["input"])
            elif "image" in block:
                yield "image", block["image"]["source"]["bytes"]
            elif "text" in block:
                yield message["role"], block["text"]


SAID = {Surface.MESSAGES: of_messages, Surface.RESPONSES: of_responses}
HEARD: dict[ProtocolName, Any] = {
    "openai-chat": of_chat,
    "openai-responses": of_responses,
    "anthropic-messages": of_messages,
    "gemini": of_gemini,
    "bedrock-converse": of_converse,
}


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _sorted(arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True)


def _spoken(role: str, parts: list[dict[str, Any]]) -> Iterator[Fact]:
    for part in parts:
        image = part.get("image_url")
        if image is not None:
            yield "image", (image if isinstance(image, str) else image["url"]).partition("base64,")[2]
        else:
            yield role, part["text"]


def _result(content: Any, *, failed: bool = False) -> Iterator[Fact]:
    for part in _blocks(content):
        if part["type"] == "image":
            yield "image", part["source"]["data"]
        elif "image_url" in part:
            yield from _spoken("user", [part])
        elif part["text"] not in ("", IN_NEXT_MESSAGE):
            yield "result", (FAILED if failed else "") + part["text"]
