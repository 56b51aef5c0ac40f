"""Requests of OpenAI's chat completions. Sans-I/O.

Source: the OpenAI API reference, "Chat Completions".
"""

from typing import cast

from pydantic_core import to_json

from libs.chat.providers.fields import LIMITS, limit_of
from libs.chat.providers.protocol import (
    Call,
    Outgoing,
)
from libs.chat.shapes.completion import ChatRequest, Message, Part, ToolCall
from libs.chat.surfaces.writer import parts_in, text_of
from libs.config.providers import Provider

PATH = "/chat/completions"
_OF_CALL = ("id", "type", "function", "custom")
SHOWN = "The result is shown in the next message."


def build_request(chat: ChatRequest, call: Call, provider: Provider) -> Outgoing:
    """The chat completion as it is, with the provider's own names of fields, and usage always asked for."""
    request: dict[str, object] = {**chat, "model": call.upstream_model, "stream": call.streamed}
    request.pop("reasoning", None)
    messages = _results_in_text(chat.get("messages"))
    if provider.message_fields:
        messages = [_strict(message, provider.message_fields) for message in messages or ()]
    request["messages"] = messages
    limit = limit_of(chat) or call.cap_tokens
    if limit:
        for name in LIMITS:
            request.pop(name, None)
        request[provider.max_tokens_field] = limit
    if call.streamed and provider.stream_usage:
        options = chat.get("stream_options")
        request["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    else:
        request.pop("stream_options", None)
    for name, theirs in provider.renamed.items():
        if name in request:
            request[theirs] = request.pop(name)
    return Outgoing(PATH, to_json(request))


def _results_in_text(messages: list[Message] | None) -> list[Message] | None:
    """The messages with what tools gave as text alone, which is all that the protocol takes there.

    Images and files of a result follow as the user's.
    """
    if not isinstance(messages, list) or not any(_shows(message) for message in messages):
        return messages
    found: list[Message] = []
    shown: list[Part] = []
    for message in messages:
        if shown and message.get("role") != "tool":
            found.append({"role": "user", "content": shown})
            shown = []
        if _shows(message):
            shown += [part for part in parts_in(message["content"]) if part.get("type") != "text"]
            message = {**message, "content": text_of(message["content"]) or SHOWN}
        found.append(message)
    return [*found, {"role": "user", "content": shown}] if shown else found


def _shows(message: Message) -> bool:
    content = message.get("content") if isinstance(message, dict) and message.get("role") == "tool" else None
    return isinstance(content, list) and any(part.get("type") != "text" for part in content)


def _strict(message: Message, fields: list[str]) -> Message:
    """A message for a provider that refuses what it does not know: a thought of another model, a mark for a cache."""
    kept = cast("Message", {name: value for name, value in message.items() if name in fields and value is not None})
    if calls := kept.get("tool_calls"):
        kept["tool_calls"] = [
            cast("ToolCall", {name: value for name, value in call.items() if name in _OF_CALL}) for call in calls
        ]
    content = kept.get("content")
    if isinstance(content, list):
        kept["content"] = [
            cast("Part", {name: value for name, value in part.items() if name in ("type", part.get("type"))})
            for part in content
        ]
    return kept
