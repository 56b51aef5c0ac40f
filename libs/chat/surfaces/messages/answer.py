"""Whole answers of Anthropic's Messages. Pure.

Source: the Anthropic API reference, "Messages".
"""

import secrets

from libs.chat.shapes.completion import Chunk, Completion, Delta, Detail, Message
from libs.chat.shapes.completion import Usage as ChatUsage
from libs.chat.shapes.messages import Block, MessagesAnswer, Usage
from libs.chat.surfaces.thoughts import Carried, carried_by, details_of, for_claude
from libs.chat.surfaces.writer import (
    arguments_of,
    name_of,
    reasoning_of,
    text_of,
)

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def whole(answer: Completion) -> MessagesAnswer:
    """A chat completion as a message."""
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content = _thoughts(message)
    if text := text_of(message.get("content")) + str(message.get("refusal") or ""):
        content.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        if carried := carried_by(call):
            content.append(thinking_block("", carried.sealed()))
        content.append({"type": "tool_use", "id": call.get("id"), "name": name_of(call), "input": arguments_of(call)})
    return {
        "id": message_id(answer),
        "type": "message",
        "role": "assistant",
        "model": answer.get("model"),
        "content": content,
        "stop_reason": STOP_REASONS.get(choice.get("finish_reason") or "stop", "end_turn"),
        "stop_sequence": None,
        "usage": usage_json(answer.get("usage")),
    }


def _thoughts(message: Message) -> list[Block]:
    details, thought = details_of(message), reasoning_of(message)
    blocks = [thinking_block(text, detail.get("signature")) for detail in details if (text := detail.get("text"))]
    carried = not_claude_s(details)
    if (thought or carried) and not blocks:
        blocks = [thinking_block(thought, carried.sealed() if carried else signature_of(message))]
    redacted: list[Block] = [{"type": "redacted_thinking", "data": data} for data in redacted_of(message)]
    return [*blocks, *redacted]


def thinking_block(text: str, signature: str | None) -> Block:
    """A block of thought."""
    return {"type": "thinking", "thinking": text, "signature": signature or ""}


def usage_json(usage: ChatUsage | None) -> Usage:
    """Counts as a message gives them: ``input_tokens`` without the cached ones."""
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details") or {}
    read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    return {
        "input_tokens": max(0, (usage.get("prompt_tokens") or 0) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.get("completion_tokens") or 0,
    }


def not_claude_s(details: list[Detail]) -> Carried:
    """OpenAI's, which have an ID."""
    return Carried([detail for detail in details if detail.get("id")])


def signature_of(message: Delta) -> str:
    """The signature of a message's thought; empty where there is none."""
    return next((str(detail["signature"]) for detail in details_of(message) if detail.get("signature")), "")


def redacted_of(message: Delta) -> list[str]:
    """The data of a message's redacted thoughts."""
    return [data for detail in for_claude(message) if (data := detail.get("data"))]


def message_id(answer: Completion | Chunk) -> str:
    """The ID of an answer."""
    return f"msg_{answer.get('id') or secrets.token_hex(12)}"
