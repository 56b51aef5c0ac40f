"""One call of one provider, from the client's body to the client's answer, whatever either of them speaks. Sans-I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from pydantic_core import to_json

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.config.gateway import Provider
from libs.providers import anthropic_messages, native, openai_chat
from libs.providers.anthropic_messages import MessagesReader
from libs.providers.openai_chat import ChatReader, Parsed
from libs.providers.tool_calls import repair
from libs.surfaces.registry import DIALECTS
from libs.surfaces.writer import Writer

EMBEDDINGS_PATH = "/embeddings"
FIM_PATH = "/fim/completions"
RESPONSES_PATH = "/responses"
FIM_MOST_TOKENS = 1_000
"""Of a fill-in-the-middle answer (gateway facts)."""


class Stream(Protocol):
    """A provider's events on their way to a client."""

    @property
    def delivered_bytes(self) -> int:
        """How much text the client was brought, in UTF-8."""

    @property
    def done(self) -> bool:
        """The provider said that this was all."""

    @property
    def finished(self) -> bool:
        """The model has come to its end; only counts may follow."""

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, if it has told them."""

    def event(self, data: str) -> str:
        """Takes the ``data`` of one event; returns what the client gets now.

        Raises:
            ProtocolError: it makes no sense.
            ProviderStreamError: the provider says that it failed.
        """

    def finish(self, counted: TokenUsage | None) -> str:
        """The end of the stream. ``counted`` is our own count, where the provider gave none."""


class _Reader(Protocol):
    delivered_bytes: int
    done: bool
    finished: bool

    @property
    def usage(self) -> TokenUsage | None: ...
    def read(self, data: str) -> list[dict[str, Any]]: ...
    def tail(self, counted: TokenUsage | None) -> dict[str, Any] | None: ...


class Translated:
    """A reader of what the provider speaks, and a writer of what the client does."""

    def __init__(self, reader: _Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def usage(self) -> TokenUsage | None:
        """See `Stream`."""
        return self._reader.usage

    @property
    def delivered_bytes(self) -> int:
        """See `Stream`."""
        return self._reader.delivered_bytes

    @property
    def done(self) -> bool:
        """See `Stream`."""
        return self._reader.done

    @property
    def finished(self) -> bool:
        """See `Stream`."""
        return self._reader.finished

    def event(self, data: str) -> str:
        """See `Stream`."""
        return "".join([self._writer.chunk(chunk) for chunk in self._reader.read(data)])

    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`."""
        return self._writer.finish(self._reader.tail(counted))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, for the client, with what the books need."""

    body: str
    usage: TokenUsage | None
    delivered_bytes: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is sent, and how what comes back is read."""

    path: str
    content: bytes
    auth_headers: Callable[[str], dict[str, str]]
    stream: Stream
    whole: Callable[[bytes], Answer]
    """Raises ProtocolError."""


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request on its way to a provider's model."""

    surface: Surface
    body: dict[str, Any]
    model: str
    """As the client is told."""
    upstream_model: str
    streamed: bool
    cap_tokens: int | None
    """The limit of the answer to tell the provider; None where the client set one, or pays the provider itself."""
    most_tokens: int
    """The limit where the protocol wants one and nobody set any."""
    created_s: int
    """The time of the answer, where the provider tells none (epoch)."""
    cache: bool = False
    """Requests with the same beginning will follow."""


def exchange(call: Call, provider: Provider) -> Exchange:
    """The exchange of a call with a provider. Raises `libs.surfaces.writer.SurfaceError`."""
    if call.surface in (Surface.EMBEDDINGS, Surface.FIM):
        return _plain(call)
    if call.surface is Surface.RESPONSES and "responses" in provider.native:
        return _native(call, RESPONSES_PATH, openai_chat.auth_headers, native.responses_stream(call.model))
    anthropic = provider.protocol == "anthropic-messages"
    if anthropic and call.surface is Surface.MESSAGES:
        return _native(
            call, anthropic_messages.PATH, anthropic_messages.auth_headers, native.messages_stream(call.model)
        )
    chat = _to_chat(call, provider, anthropic)
    writer = DIALECTS[call.surface].writer(call.model, call.body)
    if anthropic:
        content = anthropic_messages.build_request(
            chat,
            upstream_model=call.upstream_model,
            stream=call.streamed,
            most_tokens=call.cap_tokens or call.most_tokens,
            cache=call.cache,
        )
        return Exchange(
            anthropic_messages.PATH,
            content,
            anthropic_messages.auth_headers,
            Translated(MessagesReader(model=call.model, created_s=call.created_s), writer),
            lambda data: _answer(
                call, anthropic_messages.parse_response(data, model=call.model, created_s=call.created_s)
            ),
        )
    cap = (provider.max_tokens_field, call.cap_tokens) if call.cap_tokens else None
    return Exchange(
        openai_chat.PATH,
        openai_chat.build_request(chat, upstream_model=call.upstream_model, stream=call.streamed, cap=cap),
        openai_chat.auth_headers,
        Translated(ChatReader(model=call.model), writer),
        lambda data: _answer(call, openai_chat.parse_response(data, model=call.model)),
    )


def _to_chat(call: Call, provider: Provider, anthropic: bool) -> dict[str, Any]:
    chat = DIALECTS[call.surface].to_chat(call.body)
    messages = chat.get("messages")
    if isinstance(messages, list) and any(isinstance(one, dict) and _is_of_tools(one) for one in messages):
        form = "anthropic" if anthropic else provider.tool_call_ids
        chat = {**chat, "messages": repair(messages, id_form=form)}
    if call.surface is Surface.CHAT_COMPLETIONS:
        return chat
    if not anthropic and provider.max_tokens_field != "max_tokens" and "max_tokens" in chat:
        chat[provider.max_tokens_field] = chat.pop("max_tokens")
    return chat


def _is_of_tools(message: dict[str, Any]) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _native(call: Call, path: str, auth: Callable[[str], dict[str, str]], stream: Stream) -> Exchange:
    body = {**call.body, "model": call.upstream_model, "stream": call.streamed}
    if call.cap_tokens and call.surface is Surface.RESPONSES:
        body["max_output_tokens"] = call.cap_tokens
    return Exchange(
        path, to_json(body), auth, stream, lambda data: _same(native.parse_response(data, model=call.model))
    )


def _plain(call: Call) -> Exchange:
    body = {**call.body, "model": call.upstream_model}
    reader = Translated(ChatReader(model=call.model), DIALECTS[call.surface].writer(call.model, call.body))
    if call.surface is Surface.EMBEDDINGS:
        path, parse = EMBEDDINGS_PATH, native.parse_response
    else:
        path, parse = FIM_PATH, openai_chat.parse_response
        asked = body.get("max_tokens")
        body |= {"stream": call.streamed, "max_tokens": min(asked or FIM_MOST_TOKENS, FIM_MOST_TOKENS)}
    return Exchange(
        path, to_json(body), openai_chat.auth_headers, reader, lambda data: _same(parse(data, model=call.model))
    )


def _answer(call: Call, parsed: Parsed) -> Answer:
    body = DIALECTS[call.surface].whole(parsed.answer, call.body)
    return Answer(to_json(body).decode(), parsed.usage, parsed.delivered_bytes)


def _same(parsed: Parsed) -> Answer:
    return Answer(orjson.dumps(parsed.answer).decode(), parsed.usage, parsed.delivered_bytes)
