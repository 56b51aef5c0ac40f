"""Whole answers of OpenAI's chat completions. Sans-I/O."""

from collections.abc import Iterable
from typing import cast

from libs.chat.providers.openai_chat.errors import raise_for
from libs.chat.providers.openai_chat.usage import parse_usage
from libs.chat.providers.protocol import (
    Parsed,
    ProtocolError,
    parse_object,
)
from libs.chat.shapes.completion import Completion
from libs.chat.surfaces.registry import chat_texts


def parse_response(data: bytes, *, model: str) -> Parsed:
    """Reads an answer that was not streamed and names the model as the client did.

    Raises:
        ProtocolError: it is no chat completion.
        ProviderFailure: it is an error.
    """
    answer = parse_object(data)
    raise_for(answer)
    if not isinstance(answer.get("choices"), list):
        raise ProtocolError("the answer has no choices")
    answer["model"] = model
    for choice in answer["choices"]:
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            choice["finish_reason"] = finish_reason(choice.get("finish_reason"), choice["message"].get("tool_calls"))
    delivered = sum(text_bytes(choice, "message") for choice in answer["choices"])
    return Parsed(cast("Completion", answer), parse_usage(answer.get("usage")), delivered)


def finish_reason(reason: str | None, calls: object) -> str | None:
    """The reason for which an answer ended. One with calls waits for their results, whatever the provider says."""
    return "tool_calls" if calls and reason == "stop" else reason


def text_bytes(choice: object, part: str) -> int:
    """How much text, in UTF-8 bytes, a choice brings; see `libs.chat.surfaces.registry.chat_texts`."""
    return utf8_bytes(chat_texts(choice, part))


def utf8_bytes(texts: Iterable[str]) -> int:
    """How much text, in UTF-8 bytes; halves of characters count as three."""
    return sum(len(text.encode(errors="surrogatepass")) for text in texts)
