"""Whole answers of AWS Bedrock's Converse. Sans-I/O."""

from typing import cast

from libs.chat.exact_json import encode
from libs.chat.providers.anthropic_messages.answer import FINISH_REASONS
from libs.chat.providers.bedrock_converse.errors import raise_for
from libs.chat.providers.bedrock_converse.usage import parse_usage
from libs.chat.providers.chunks import choice, completion, tool_call
from libs.chat.providers.openai_chat.answer import text_bytes
from libs.chat.providers.protocol import (
    Parsed,
    ProtocolError,
    parse_object,
)
from libs.chat.shapes.completion import Detail, Message
from libs.chat.shapes.converse import ConverseAnswer, ReasoningContent
from libs.chat.surfaces.writer import text_of

_FINISH_REASONS = FINISH_REASONS | {
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
}


def parse_response(data: bytes, *, model: str, created_s: int) -> Parsed:
    """An answer as a chat completion of this time. Raises ProtocolError, ProviderFailure."""
    found = cast("ConverseAnswer", parse_object(data))
    raise_for(found)
    said = (found.get("output") or {}).get("message")
    blocks = said.get("content") if said else None
    if not isinstance(blocks, list):
        raise ProtocolError("the answer has no message")
    message: Message = {"role": "assistant", "content": None}
    for block in blocks:
        if "text" in block:
            message["content"] = text_of(message["content"]) + str(block["text"])
        elif "toolUse" in block:
            use = block["toolUse"]
            call = tool_call(use.get("toolUseId"), use.get("name"), encode(use.get("input") or {}))
            message.setdefault("tool_calls", []).append(call)
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]
            text = (thought.get("reasoningText") or {}).get("text") or ""
            message["reasoning_content"] = message.get("reasoning_content", "") + text
            message.setdefault("reasoning_details", []).append(detail_of(thought))
    usage = parse_usage(found.get("usage"))
    only = choice(message, finish_of(found.get("stopReason")))
    answer = completion(None, created_s=created_s, model=model, choices=[only], usage=usage)
    return Parsed(answer, usage, text_bytes(only, "message"))


def detail_of(thought: ReasoningContent) -> Detail:
    """A thought, as a chat completion has it."""
    if "redactedContent" in thought:
        return {"type": "reasoning.encrypted", "data": thought["redactedContent"]}
    text = thought.get("reasoningText") or {}
    return {"type": "reasoning.text", "text": text.get("text") or "", "signature": text.get("signature")}


def finish_of(reason: str | None) -> str:
    """The reason for which an answer ended, as a chat completion has it."""
    return _FINISH_REASONS.get(str(reason), "stop")
