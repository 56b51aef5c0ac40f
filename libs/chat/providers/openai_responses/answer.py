"""Whole answers of OpenAI's Responses. Sans-I/O."""

from typing import Any

from libs.chat.providers.chunks import choice, completion
from libs.chat.providers.openai_chat.answer import text_bytes
from libs.chat.providers.openai_responses.usage import parse_usage
from libs.chat.providers.protocol import (
    Parsed,
    ProtocolError,
    ProviderFailure,
    parse_object,
)
from libs.chat.surfaces.writer import text_of

_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def parse_response(data: bytes, *, model: str) -> Parsed:
    """A response as a chat completion. Raises ProtocolError, ProviderFailure."""
    found = parse_object(data)
    if found.get("status") == "failed":
        raise ProviderFailure(found.get("error"))
    output = found.get("output")
    if not isinstance(output, list):
        raise ProtocolError("the answer has no output")
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for item in output:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message":
            for part in item.get("content") or ():
                name, text = ("refusal", "refusal") if part.get("type") == "refusal" else ("content", "text")
                message[name] = (message.get(name) or "") + str(part.get(text) or "")
        elif kind == "reasoning":
            message["reasoning_content"] = message.get("reasoning_content", "") + text_of(item.get("summary"))
            if item.get("encrypted_content"):
                message.setdefault("reasoning_details", []).append(opaque_detail(item))
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
    usage = parse_usage(found.get("usage"))
    only = choice(message, finish_of(found, incomplete=found.get("status") == "incomplete"))
    answer = completion(found.get("id"), created_s=found.get("created_at"), model=model, choices=[only], usage=usage)
    return Parsed(answer, usage, text_bytes(only, "message"))


def opaque_detail(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "id": item.get("id"), "data": item["encrypted_content"]}


def finish_of(response: dict[str, Any], *, incomplete: bool) -> str:
    reason = (response.get("incomplete_details") or {}).get("reason")
    return _FINISH_REASONS.get(str(reason)) or ("length" if incomplete else "stop")
