"""Whole answers of OpenAI's Responses. Sans-I/O."""

from typing import cast

from libs.chat.providers.chunks import choice, completion, tool_call
from libs.chat.providers.openai_chat.answer import text_bytes
from libs.chat.providers.openai_responses.errors import raise_for
from libs.chat.providers.openai_responses.usage import parse_usage
from libs.chat.providers.protocol import (
    Parsed,
    ProtocolError,
    parse_object,
)
from libs.chat.shapes.completion import Detail, Message
from libs.chat.shapes.responses import Item, Part, Response
from libs.chat.surfaces.writer import text_of

_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def parse_response(data: bytes, *, model: str) -> Parsed:
    """A response as a chat completion. Raises ProtocolError, ProviderFailure."""
    found = cast("Response", parse_object(data))
    raise_for(found)
    output = found.get("output")
    if not isinstance(output, list):
        raise ProtocolError("the answer has no output")
    message: Message = {"role": "assistant", "content": None}
    for item in output:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message":
            for part in cast("list[Part]", item.get("content") or []):
                if part.get("type") == "refusal":
                    message["refusal"] = message.get("refusal", "") + str(part.get("refusal") or "")
                else:
                    message["content"] = text_of(message["content"]) + str(part.get("text") or "")
        elif kind == "reasoning":
            message["reasoning_content"] = message.get("reasoning_content", "") + text_of(item.get("summary"))
            if item.get("encrypted_content"):
                message.setdefault("reasoning_details", []).append(opaque_detail(item))
        elif kind == "function_call":
            call = tool_call(item.get("call_id"), item.get("name"), item.get("arguments") or "{}")
            message.setdefault("tool_calls", []).append(call)
    usage = parse_usage(found.get("usage"))
    only = choice(message, finish_of(found, incomplete=found.get("status") == "incomplete"))
    answer = completion(found.get("id"), created_s=found.get("created_at"), model=model, choices=[only], usage=usage)
    return Parsed(answer, usage, text_bytes(only, "message"))


def opaque_detail(item: Item) -> Detail:
    """Encrypted reasoning, as a chat completion has it."""
    return {"type": "reasoning.encrypted", "id": item.get("id"), "data": item["encrypted_content"]}


def finish_of(response: Response, *, incomplete: bool) -> str:
    """The reason for which an answer ended, as a chat completion has it."""
    reason = (response.get("incomplete_details") or {}).get("reason")
    return _FINISH_REASONS.get(str(reason)) or ("length" if incomplete else "stop")
