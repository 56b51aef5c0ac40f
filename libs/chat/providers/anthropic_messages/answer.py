"""Whole answers of Anthropic's Messages. Sans-I/O."""

from typing import cast

from libs.chat.exact_json import encode
from libs.chat.providers.anthropic_messages.errors import raise_for
from libs.chat.providers.anthropic_messages.usage import parse_usage
from libs.chat.providers.chunks import choice, completion, tool_call
from libs.chat.providers.protocol import Parsed, ProtocolError, parse_object
from libs.chat.shapes.completion import Detail, Message
from libs.chat.shapes.messages import Block, MessagesAnswer
from libs.chat.surfaces.messages.answer import STOP_REASONS
from libs.chat.surfaces.writer import text_of

FINISH_REASONS = {reason: finish for finish, reason in reversed(STOP_REASONS.items())} | {
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
}


def parse_response(data: bytes, *, model: str, created_s: int) -> Parsed:
    """A message as a chat completion of this time. Raises ProtocolError, ProviderFailure."""
    found = cast("MessagesAnswer", parse_object(data))
    raise_for(found)
    blocks = found.get("content")
    if not isinstance(blocks, list):
        raise ProtocolError("the answer has no content")
    message: Message = {"role": "assistant", "content": None}
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            message["content"] = text_of(message["content"]) + str(block.get("text") or "")
        elif kind == "thinking":
            message["reasoning_content"] = message.get("reasoning_content", "") + str(block.get("thinking") or "")
            message.setdefault("reasoning_details", []).append(detail_of(block))
        elif kind == "redacted_thinking":
            message.setdefault("reasoning_details", []).append(detail_of(block))
        elif kind == "tool_use":
            call = tool_call(block.get("id"), block.get("name"), encode(block.get("input") or {}))
            message.setdefault("tool_calls", []).append(call)
    usage = parse_usage(found.get("usage"))
    answer = completion(
        found.get("id"),
        created_s=created_s,
        model=model,
        choices=[choice(message, finish_of(found.get("stop_reason")))],
        usage=usage,
    )
    delivered = len(text_of(blocks).encode()) + len(message.get("reasoning_content", "").encode())
    return Parsed(answer, usage, delivered)


def detail_of(block: Block) -> Detail:
    """A block of thought, as a chat completion has it."""
    if block.get("type") == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block.get("data")}
    return {"type": "reasoning.text", "text": block.get("thinking"), "signature": block.get("signature")}


def finish_of(reason: str | None) -> str:
    """The reason for which an answer ended, as a chat completion has it."""
    return FINISH_REASONS.get(str(reason), "stop")
