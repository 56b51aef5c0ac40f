"""One call of one provider, from the client's body to the client's answer, whatever either of them speaks. Sans-I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic_core import to_json

from contracts.quantities import Quantity
from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.exact_json import encode
from libs.chat.providers import (
    anthropic_messages,
    completions,
    embeddings,
    fim,
    gemini_embeddings,
    native,
    openai_chat,
    openai_responses,
)
from libs.chat.providers.carrying import carrying
from libs.chat.providers.client_headers import with_headers
from libs.chat.providers.content import in_fields, translatable
from libs.chat.providers.halves import ChunkJoiner
from libs.chat.providers.openai_chat import ChatReader, text_bytes, usage_json
from libs.chat.providers.protocol import (
    Addressed,
    Call,
    Framing,
    Outgoing,
    Parsed,
    Reader,
    left_out,
    refused,
    supported,
    without_unsupported,
)
from libs.chat.providers.registry import ADAPTERS
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.providers.tool_calls import repair
from libs.chat.surfaces import messages, references, responses
from libs.chat.surfaces.chat import ChatWriter, wants_usage
from libs.chat.surfaces.reasoning import WithoutThoughts, as_asked, is_excluded, without_thoughts
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.surfaces.writer import SurfaceError, Writer
from libs.chat.surrogates import may_have_halves
from libs.config.gateway import Provider


class Stream(Protocol):
    """A provider's events on their way to a client."""

    @property
    def delivered_bytes(self) -> int:
        """The text that the client was sent, in bytes of UTF-8."""

    @property
    def done(self) -> bool:
        """The provider has sent its last event."""

    @property
    def finished(self) -> bool:
        """The model has come to its end; only counts may follow."""

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""

    def event(self, data: str) -> str:
        """Takes the ``data`` of one event; returns what the client gets now.

        Raises:
            ProtocolError: it makes no sense.
            ProviderFailure: it is an error.
        """

    def finish(self, counted: TokenUsage | None) -> str:
        """The end of the stream. ``counted`` is our own count, where the provider gave none."""


class Translated:
    """A reader of what the provider speaks, and a writer of what the client does."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._joiner = ChunkJoiner()
        self.delivered_bytes = 0

    @property
    def usage(self) -> TokenUsage | None:
        """See `Stream`."""
        return self._reader.usage

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
        cut = may_have_halves(data)
        events = []
        for chunk in self._reader.read(data):
            if cut or self._joiner:
                self._joiner.join(chunk)
            for choice in chunk["choices"]:
                self.delivered_bytes += text_bytes(choice, "delta")
            events.append(self._writer.chunk(chunk))
        return "".join(events)

    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`."""
        return self._writer.finish(self._reader.tail(counted))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, for the client, with what the books need."""

    usage: TokenUsage | None
    delivered_bytes: int
    body: Callable[[TokenUsage | None], str]
    """The JSON for the client, given our own count where the provider gave none."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is sent, and how what comes back is read."""

    outgoing: Outgoing
    authorize: Callable[[str, str, bytes], Addressed]
    framing: Callable[[], Framing]
    stream: Stream
    whole: Callable[[bytes], Answer]
    """Raises ProtocolError, ProviderFailure."""
    recording: bool = False
    """The answer is bytes that pass as they are; its stream has no events."""
    content_type: str | None = None
    """Of the answer, where it is neither JSON nor events."""
    quantities: Callable[[], Sequence[Quantity]] = tuple
    """What was used beside tokens, as far as the answer has come."""


def exchange(call: Call, provider: Provider) -> Exchange:
    """The exchange of a call with a provider. Raises `libs.chat.surfaces.writer.SurfaceError`."""
    found = _exchange(call, provider)
    return replace(found, outgoing=with_headers(found.outgoing, call, provider)) if call.headers else found


def _exchange(call: Call, provider: Provider) -> Exchange:
    if call.surface is Surface.EMBEDDINGS:
        return _embeddings(call, provider)
    if call.surface is Surface.FIM:
        return _fill_in_the_middle(call, provider)
    if call.surface is Surface.COMPLETIONS and provider.speaks(call.surface):
        return _completions(call, provider)
    if call.surface is Surface.RESPONSES:
        return _responses(call, provider)
    if call.surface is Surface.MESSAGES and provider.speaks(call.surface):
        return _native(call, provider, anthropic_messages.PATH, native.messages_stream(call.model))
    return _translation(call, provider)


def _responses(call: Call, provider: Provider) -> Exchange:
    if provider.speaks(call.surface):
        found = _native(call, provider, openai_responses.PATH, native.responses_stream(call.model))
        stored = references.are_kept_by_provider(call.body)
    else:
        found, stored = _translation(call, provider), False
    if stored or not references.are_expected(call.body):
        return found
    return carrying(found)


def _translation(call: Call, provider: Provider) -> Exchange:
    adapter, dialect = ADAPTERS[provider.protocol], DIALECTS[call.surface]
    chat = call.identifiers.beside(dialect.to_chat(call.body))
    kinds = adapter.content
    chat = in_fields(chat, provider.message_fields) if kinds is None else translatable(chat, kinds)
    chat = _repaired(chat, adapter.tool_call_ids or provider.tool_call_ids)
    kept = supported(chat, provider)
    outgoing = adapter.build(kept, call, provider)
    ignored = left_out(call.body, dialect.understood) if dialect.understood else ()
    dropped = as_asked({*outgoing.dropped, *refused(chat, kept), *ignored}, call.body)
    writer = dialect.writer(call.model, call.body)
    return Exchange(
        replace(outgoing, dropped=tuple(sorted(dropped))),
        adapter.authorize,
        adapter.framing,
        Translated(adapter.reader(call), WithoutThoughts(writer) if is_excluded(call.body) else writer),
        lambda data: _translated(adapter.parse(data, call), call),
    )


def _repaired(chat: dict[str, Any], id_form: str | None) -> dict[str, Any]:
    messages = chat.get("messages")
    if isinstance(messages, list) and any(isinstance(one, dict) and _is_of_tools(one) for one in messages):
        mended = repair(messages, id_form=id_form)
        if not mended:
            raise SurfaceError("no message is left: results of tools mean nothing without the calls that they answer.")
        return {**chat, "messages": mended}
    return chat


def _is_of_tools(message: dict[str, Any]) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _native(call: Call, provider: Provider, path: str, stream: Stream) -> Exchange:
    kept = without_unsupported(call.body, provider)
    body = {**kept, "model": call.upstream_model, "stream": call.streamed}
    if call.surface is Surface.RESPONSES:
        body = references.for_provider(body, reasons="reasoning" not in provider.unsupported)
        body = responses.without_carried(call.identifiers.beside(body))
    if call.cap_tokens and call.surface is Surface.RESPONSES:
        body["max_output_tokens"] = call.cap_tokens
    if call.surface is Surface.MESSAGES:
        body = anthropic_messages.adapted(messages.without_carried(body), provider)
    return _plain(
        Outgoing(path, to_json(body), refused(call.body, kept)),
        provider,
        stream,
        lambda data: native.parse_response(data, model=call.model),
    )


def _embeddings(call: Call, provider: Provider) -> Exchange:
    stream = Translated(ChatReader(model=call.model), DIALECTS[call.surface].writer(call.model, call.body))
    if provider.protocol == "gemini":
        return _plain(
            gemini_embeddings.build(call.body, call.upstream_model),
            provider,
            stream,
            lambda data: gemini_embeddings.parse(data, call.body, model=call.model),
            embeddings.usage_json,
        )
    _wants_openai(call, provider, "embeddings")
    return _plain(
        embeddings.build(call, provider),
        provider,
        stream,
        lambda data: native.parse_response(data, model=call.model),
        embeddings.usage_json,
    )


def _fill_in_the_middle(call: Call, provider: Provider) -> Exchange:
    _wants_openai(call, provider, "fill-in-the-middle")
    return _plain(
        fim.build(call, provider),
        provider,
        Translated(ChatReader(model=call.model), DIALECTS[call.surface].writer(call.model, call.body)),
        lambda data: openai_chat.parse_response(data, model=call.model),
        usage_json,
    )


def _completions(call: Call, provider: Provider) -> Exchange:
    return _plain(
        completions.build(call, provider),
        provider,
        Translated(ChatReader(model=call.model), ChatWriter(usage=wants_usage(call.body))),
        lambda data: openai_chat.parse_response(data, model=call.model),
        usage_json,
    )


def _wants_openai(call: Call, provider: Provider, what: str) -> None:
    if not provider.protocol.startswith("openai") or call.surface in provider.lacks:
        raise SurfaceError(f"this model's provider ({provider.name}) has no {what}; GET /models lists others.")


def _plain(
    outgoing: Outgoing,
    provider: Provider,
    stream: Stream,
    parse: Callable[[bytes], Parsed],
    count: Callable[[TokenUsage], dict[str, Any]] | None = None,
) -> Exchange:
    """What passes without a translation of its answer. ``count`` writes our own count in the answer's shape."""

    def whole(data: bytes) -> Answer:
        parsed = parse(data)

        def body(counted: TokenUsage | None) -> str:
            return encode({**parsed.answer, "usage": count(counted)} if counted and count else parsed.answer)

        return Answer(parsed.usage, parsed.delivered_bytes, body)

    return Exchange(outgoing, ADAPTERS[provider.protocol].authorize, ServerSentEvents, stream, whole)


def _translated(parsed: Parsed, call: Call) -> Answer:
    def body(counted: TokenUsage | None) -> str:
        answer = {**parsed.answer, "usage": usage_json(counted)} if counted else parsed.answer
        answer = without_thoughts(answer) if is_excluded(call.body) else answer
        return encode(DIALECTS[call.surface].whole(answer, call.body))

    return Answer(parsed.usage, parsed.delivered_bytes, body)
