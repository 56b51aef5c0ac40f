"""All surfaces by name."""

from dataclasses import replace
from typing import cast

import orjson

from contracts.requests import Surface
from libs.chat.shapes.completion import ChatRequest
from libs.chat.surfaces.chat import dialect as chat
from libs.chat.surfaces.chat.errors import error_event
from libs.chat.surfaces.chat.stream import DONE, ChatWriter
from libs.chat.surfaces.completions import dialect as completions
from libs.chat.surfaces.messages import dialect as messages
from libs.chat.surfaces.responses import dialect as responses
from libs.chat.surfaces.writer import Dialect

DIALECTS: dict[Surface, Dialect] = {
    # Of those that nobody translates, the form of an error in a stream matters.
    **dict.fromkeys(Surface, replace(chat.DIALECT, to_chat=lambda body: cast("ChatRequest", body))),
    Surface.CHAT_COMPLETIONS: chat.DIALECT,
    Surface.RESPONSES: responses.DIALECT,
    Surface.MESSAGES: messages.DIALECT,
    Surface.COMPLETIONS: completions.DIALECT,
    # Mistral, whose API it is, sends the usage unasked.
    Surface.FIM: Dialect(
        lambda body: cast("ChatRequest", body),
        chat.DIALECT.whole,
        lambda _model, _body: ChatWriter(usage=True),
        error_event,
    ),
}


def delivered_bytes(events: str) -> int:
    """How much text, in UTF-8 bytes, server-sent events that we sent have brought to a client of any surface."""
    total = 0
    for line in events.split("\n"):
        data = line.removeprefix("data: ")
        if data is line or data == DONE:
            continue
        total += sum(len(text.encode()) for text in _texts(orjson.loads(data)))
    return total


def _texts(event: object) -> list[str]:
    if not isinstance(event, dict):
        return []
    delta = event.get("delta")
    if isinstance(delta, str):
        return [delta]
    if isinstance(delta, dict):
        return [text for name in ("text", "thinking", "partial_json") if isinstance(text := delta.get(name), str)]
    return [text for choice in event.get("choices") or () for text in chat_texts(choice, "delta")]


def chat_texts(choice: object, part: str) -> list[str]:
    """The texts that a choice of a chat completion, or of a chunk, brings."""
    message = choice.get(part) if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        # A choice of the completions from before chat is text itself.
        text = choice.get("text") if isinstance(choice, dict) else None
        return [text] if isinstance(text, str) else []
    found = [message.get(name) for name in ("content", "reasoning_content", "reasoning", "refusal")]
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            found += [function.get("name"), function.get("arguments")]
    return [text for text in found if isinstance(text, str)]
