"""All surfaces by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from contracts.requests import Surface
from libs.chat.surfaces import chat, completions, messages, responses
from libs.chat.surfaces.reasoning import with_effort
from libs.chat.surfaces.writer import Writer


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one surface is translated to chat completions and back."""

    to_chat: Callable[[dict[str, Any]], dict[str, Any]]
    """Raises `libs.chat.surfaces.writer.SurfaceError`."""
    whole: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    """An answer that is not streamed, given the chat completion and the client's body."""
    writer: Callable[[str, dict[str, Any]], Writer]
    """Of a stream, given the model as the client named it, and the client's body."""
    error_event: Callable[[str, int, str], str]
    """An error after the first byte: of its message and HTTP status, and the events that were sent last."""
    understood: frozenset[str] = frozenset()
    """Fields of a request that have an effect, or need none; empty: all."""


_AS_IT_IS = Dialect(
    lambda body: body,
    lambda answer, _body: answer,
    lambda _model, body: chat.ChatWriter(usage=chat.wants_usage(body)),
    chat.error_event,
)
DIALECTS: dict[Surface, Dialect] = {
    # Of those that nobody translates, the form of an error in a stream matters.
    **dict.fromkeys(Surface, _AS_IT_IS),
    Surface.CHAT_COMPLETIONS: replace(_AS_IT_IS, to_chat=with_effort),
    Surface.RESPONSES: Dialect(
        responses.to_chat, responses.whole, responses.ResponsesWriter, responses.error_event, responses.UNDERSTOOD
    ),
    Surface.MESSAGES: Dialect(
        messages.to_chat,
        messages.whole,
        lambda model, _body: messages.MessagesWriter(model),
        messages.error_event,
        messages.UNDERSTOOD,
    ),
    Surface.COMPLETIONS: Dialect(
        completions.to_chat,
        completions.whole,
        lambda _model, body: completions.CompletionsWriter(body),
        chat.error_event,
        completions.UNDERSTOOD,
    ),
    # Mistral, whose API it is, sends the usage unasked.
    Surface.FIM: replace(_AS_IT_IS, writer=lambda _model, _body: chat.ChatWriter(usage=True)),
}


def delivered_bytes(events: str) -> int:
    """How much text, in UTF-8 bytes, server-sent events that we sent have brought to a client of any surface."""
    total = 0
    for line in events.split("\n"):
        data = line.removeprefix("data: ")
        if data is line or data == chat.DONE:
            continue
        total += sum(len(text.encode()) for text in _texts(orjson.loads(data)))
    return total


def _texts(event: Any) -> list[str]:
    if not isinstance(event, dict):
        return []
    delta = event.get("delta")
    if isinstance(delta, str):
        return [delta]
    if isinstance(delta, dict):
        return [text for name in ("text", "thinking", "partial_json") if isinstance(text := delta.get(name), str)]
    return [text for choice in event.get("choices") or () for text in chat_texts(choice, "delta")]


def chat_texts(choice: Any, part: str) -> list[str]:
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
