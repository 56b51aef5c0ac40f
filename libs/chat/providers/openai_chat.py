"""OpenAI's chat completions protocol, as most providers speak it. Sans-I/O.

Source: the OpenAI API reference, "Chat Completions".
"""

from typing import Any

from pydantic_core import to_json

from contracts.usage import TokenUsage
from libs.chat.providers.protocol import (
    LIMITS,
    Adapter,
    Call,
    Outgoing,
    Parsed,
    ProtocolError,
    ProviderFailure,
    ask_for_models,
    bearer,
    limit_of,
    parse_event,
    parse_object,
)
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.surfaces.chat import DONE
from libs.chat.surfaces.registry import chat_texts
from libs.chat.surfaces.writer import text_of
from libs.config.gateway import Provider

PATH = "/chat/completions"
SHOWN = "The result is shown in the next message."


def build_request(chat: dict[str, Any], call: Call, provider: Provider) -> Outgoing:
    """The chat completion as it is, with the provider's own names of fields, and usage always asked for."""
    request = {**chat, "model": call.upstream_model, "stream": call.streamed}
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


def _results_in_text(messages: Any) -> Any:
    """The messages with what tools gave as text alone, which is all that the protocol takes there.

    Images and files of a result follow as the user's.
    """
    if not isinstance(messages, list) or not any(_shows(message) for message in messages):
        return messages
    found: list[Any] = []
    shown: list[dict[str, Any]] = []
    for message in messages:
        if shown and message.get("role") != "tool":
            found.append({"role": "user", "content": shown})
            shown = []
        if _shows(message):
            shown += [part for part in message["content"] if part.get("type") != "text"]
            message = {**message, "content": text_of(message["content"]) or SHOWN}
        found.append(message)
    return [*found, {"role": "user", "content": shown}] if shown else found


def _shows(message: Any) -> bool:
    content = message.get("content") if isinstance(message, dict) and message.get("role") == "tool" else None
    return isinstance(content, list) and any(part.get("type") != "text" for part in content)


def _strict(message: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """A message for a provider that refuses what it does not know: a thought of another model, a mark for a cache."""
    kept = {name: value for name, value in message.items() if name in fields and value is not None}
    if kept.get("tool_calls"):
        kept["tool_calls"] = [
            {name: call[name] for name in ("id", "type", "function", "custom") if name in call}
            for call in kept["tool_calls"]
        ]
    if isinstance(kept.get("content"), list):
        kept["content"] = [
            {name: value for name, value in part.items() if name in ("type", part.get("type"))}
            for part in kept["content"]
        ]
    return kept


def parse_response(data: bytes, *, model: str) -> Parsed:
    """Reads an answer that was not streamed and names the model as the client did.

    Raises:
        ProtocolError: it is no chat completion.
        ProviderFailure: it is an error.
    """
    answer = parse_object(data)
    if not isinstance(answer.get("choices"), list):
        if answer.get("error"):
            raise ProviderFailure(answer["error"])
        raise ProtocolError("the answer has no choices")
    answer["model"] = model
    for choice in answer["choices"]:
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            choice["finish_reason"] = finish_reason(choice.get("finish_reason"), choice["message"].get("tool_calls"))
    delivered = sum(text_bytes(choice, "message") for choice in answer["choices"])
    return Parsed(answer, parse_usage(answer.get("usage")), delivered)


class ChatReader:
    """Reads a stream, event by event.

    The usage is held back for the `tail`, whatever the provider's habit.
    """

    def __init__(self, *, model: str) -> None:
        self._model = model
        self._tail: dict[str, Any] | None = None
        self._identity: dict[str, Any] = {}
        self._begun: set[str] = set()
        """Choices whose role was sent."""
        self._calling: set[str] = set()
        """Choices that have called tools."""
        self.usage: TokenUsage | None = None
        self.done = False
        self.finished = False
        """A choice gave its finish_reason."""

    def read(self, data: str) -> list[dict[str, Any]]:
        """Takes the ``data`` of one server-sent event; returns the chunks for the client, often one.

        Raises:
            ProtocolError: it is no chunk.
            ProviderFailure: it is an error.
        """
        if data == DONE:
            self.done = True
            return []
        chunk = parse_event(data)
        if chunk.get("error"):
            raise ProviderFailure(chunk["error"])
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise ProtocolError("a chunk has no choices")
        chunk["model"] = self._model
        usage = chunk.pop("usage", None)
        if usage is not None:
            parsed = parse_usage(usage)
            if parsed is not None:
                self.usage = parsed
                self._tail = {**chunk, "choices": [], "usage": usage}
        if not self._identity:
            self._identity = {name: chunk[name] for name in ("id", "object", "created") if name in chunk}
        if not choices and usage is not None:
            return []
        for choice in choices:
            if isinstance(choice, dict):
                self._correct(choice)
        return [chunk]

    def _correct(self, choice: dict[str, Any]) -> None:
        """The role is sent once: some providers have it in every chunk, and openai-python adds it up."""
        delta, index = choice.get("delta"), str(choice.get("index"))
        if isinstance(delta, dict):
            if delta.get("role"):
                if index in self._begun:
                    del delta["role"]
                self._begun.add(index)
            if delta.get("tool_calls"):
                self._calling.add(index)
        if choice.get("finish_reason"):
            self.finished = True
            choice["finish_reason"] = finish_reason(choice["finish_reason"], index in self._calling)

    def tail(self, counted: TokenUsage | None) -> dict[str, Any] | None:
        """The chunk with the usage and no choices.

        Args:
            counted: our own count, used where the provider gave none.
        """
        if self._tail is None and counted is not None:
            return {**self._identity, "model": self._model, "choices": [], "usage": usage_json(counted)}
        return self._tail


def parse_usage(usage: Any) -> TokenUsage | None:
    """The provider's counts, zero included; None where there are none or they make no sense."""
    if not isinstance(usage, dict):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    read = usage.get("prompt_tokens_details")
    written = usage.get("completion_tokens_details")
    return TokenUsage(
        input_tokens=counts[0] or 0,
        output_tokens=counts[1] or 0,
        cache_read_tokens=_count(read, "cached_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens"),
        reasoning_tokens=_count(written, "reasoning_tokens"),
        input_image_tokens=_count(read, "image_tokens"),
        output_image_tokens=_count(written, "image_tokens"),
        input_audio_tokens=_count(read, "audio_tokens"),
        output_audio_tokens=_count(written, "audio_tokens"),
    )


def finish_reason(reason: Any, calls: Any) -> Any:
    """The reason for which an answer ended. One with calls waits for their results, whatever the provider says."""
    return "tool_calls" if calls and reason == "stop" else reason


def usage_json(usage: TokenUsage) -> dict[str, Any]:
    """Counts in the shape of the protocol; kinds that there are none of are left out."""
    read = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    written = {"reasoning_tokens": usage.reasoning_tokens}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        **({"prompt_tokens_details": read} if any(read.values()) else {}),
        **({"completion_tokens_details": written} if any(written.values()) else {}),
    }


def estimate(*, prompt_bytes: int, delivered_bytes: int) -> TokenUsage:
    """A count where the provider gives none: four bytes a token, rounded up."""
    return TokenUsage(input_tokens=-(-prompt_bytes // 4), output_tokens=-(-delivered_bytes // 4))


def _count(details: Any, name: str) -> int:
    value = details.get(name) if isinstance(details, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def text_bytes(choice: Any, part: str) -> int:
    """How much text, in UTF-8 bytes, a choice brings; see `libs.chat.surfaces.registry.chat_texts`."""
    return sum(len(text.encode(errors="surrogatepass")) for text in chat_texts(choice, part))


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model),
    reader=lambda call: ChatReader(model=call.model),
    framing=ServerSentEvents,
    authorize=bearer,
    check=ask_for_models,
)
