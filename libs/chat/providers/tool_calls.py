"""Mends a conversation's tool calls, so that providers which insist on order take it. Pure.

Clients that cut a conversation short, or run tools twice, leave calls without results and results without calls.
"""

import hashlib
import re

from libs.chat.shapes.completion import Message, ToolCall

PLACEHOLDER = "No result: the tool was not run, or its result is missing."
_FORMS: dict[str, tuple[re.Pattern[str], int]] = {
    "anthropic": (re.compile(r"^[a-zA-Z0-9_-]{1,64}$"), 24),
    "mistral": (re.compile(r"^[a-zA-Z0-9]{9}$"), 9),
}
"""What a call's ID must look like, and how many characters of a hash replace one that does not."""
IdForm = str


def repair(messages: list[Message], *, id_form: IdForm | None = None) -> list[Message]:
    """The messages of a chat completion with each call once, each result after its call, and none missing.

    Of several calls of one ID the first stays; of several results the first; results of no call go; calls without a
    result get a placeholder. What is in order comes back as it was.

    Args:
        id_form: a provider's own form of IDs (``anthropic``, ``mistral``); others are replaced, the same by the same.
    """
    results: dict[str, Message] = {}
    for message in messages:
        if _role(message) == "tool":
            results.setdefault(str(message.get("tool_call_id")), message)
    seen: set[str] = set()
    mended: list[Message] = []
    for message in messages:
        role = _role(message)
        if role == "tool":
            continue
        if role != "assistant" or not message.get("tool_calls"):
            mended.append(message)
            continue
        calls: list[ToolCall] = []
        for call in message["tool_calls"]:
            name = str(call.get("id"))
            if name not in seen:
                seen.add(name)
                calls.append(call)
        if len(calls) != len(message["tool_calls"]):
            message = message.copy()
            del message["tool_calls"]
            if calls:
                message["tool_calls"] = calls
        if calls or message.get("content"):
            mended.append(message)
        for call in calls:
            name = str(call.get("id"))
            missing: Message = {"role": "tool", "tool_call_id": call.get("id"), "content": PLACEHOLDER}
            mended.append(results.get(name, missing))
    return [_normalised(message, *_FORMS[id_form]) for message in mended] if id_form else mended


def _normalised(message: Message, form: re.Pattern[str], length: int) -> Message:
    if _role(message) == "tool":
        return {**message, "tool_call_id": _id(message.get("tool_call_id"), form, length)}
    if _role(message) == "assistant" and message.get("tool_calls"):
        calls: list[ToolCall] = [{**call, "id": _id(call.get("id"), form, length)} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    return message


def _id(name: str | None, form: re.Pattern[str], length: int) -> str:
    text = str(name)
    return text if form.match(text) else hashlib.sha256(text.encode()).hexdigest()[:length]


def _role(message: Message) -> str | None:
    return message.get("role") if isinstance(message, dict) else None
