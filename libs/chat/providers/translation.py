"""Calls whose provider does not speak the client's surface: by way of chat completions, both ways. Sans-I/O."""

from dataclasses import replace
from typing import cast

from contracts.usage import TokenUsage
from libs.chat.exact_json import encode
from libs.chat.providers.answers import Answer, Exchange
from libs.chat.providers.content import in_fields, translatable
from libs.chat.providers.fields import left_out, refused, supported
from libs.chat.providers.halves import ChunkJoiner
from libs.chat.providers.openai_chat.answer import utf8_bytes
from libs.chat.providers.openai_chat.stream import ChatReader
from libs.chat.providers.openai_chat.usage import usage_json
from libs.chat.providers.platforms import authorize_of
from libs.chat.providers.protocol import Call, Parsed, Reader, of_shape
from libs.chat.providers.registry import ADAPTERS
from libs.chat.providers.repeating import Repeating
from libs.chat.providers.tiers import FLEX
from libs.chat.providers.tool_calls import repair
from libs.chat.shapes.completion import ChatRequest, Completion, Message
from libs.chat.surfaces.chat import functions
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.reasoning import WithoutThoughts, as_asked, is_excluded, without_thoughts
from libs.chat.surfaces.registry import DIALECTS, chat_texts
from libs.chat.surfaces.writer import SurfaceError, Writer
from libs.chat.surrogates import may_have_halves
from libs.config.providers import ProtocolName, Provider


class Translated:
    """A reader of what the provider speaks, and a writer of what the client does."""

    def __init__(self, reader: Reader, writer: Writer, answer_id: str | None = None) -> None:
        self._reader = reader
        self._id = answer_id
        self._writer = writer
        self._joiner = ChunkJoiner()
        plain = isinstance(reader, ChatReader) and isinstance(writer, ChatWriter)
        self._repeating = Repeating() if plain else None
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

    @of_shape
    def event(self, data: str) -> str:
        """See `Stream`."""
        if self._repeating and (text := self._repeating.text(data)) is not None:
            self.delivered_bytes += len(text.encode())
            return self._repeating.event(text)
        cut = may_have_halves(data) or bool(self._joiner)
        events, texts = [], []
        for chunk in self._reader.read(data):
            if cut:
                self._joiner.join(chunk)
            if self._id:
                chunk["id"] = self._id
            for choice in chunk["choices"]:
                texts += chat_texts(choice, "delta")
            events.append(self._writer.chunk(chunk))
        self.delivered_bytes += utf8_bytes(texts)
        event = "".join(events)
        if self._repeating:
            self._repeating.learn(data, event, texts)
        return event

    @of_shape
    def finish(self, counted: TokenUsage | None) -> str:
        """See `Stream`."""
        tail = self._reader.tail(counted)
        if tail and self._id:
            tail["id"] = self._id
        return self._writer.finish(tail)


def translation(call: Call, provider: Provider) -> Exchange:
    """The exchange of a call with a provider of another protocol. Raises SurfaceError."""
    adapter, dialect = ADAPTERS[provider.protocol], DIALECTS[call.surface]
    chat = cast("ChatRequest", call.identifiers.beside(dialect.to_chat(call.body)))
    kinds = adapter.content
    chat = in_fields(chat, provider.message_fields) if kinds is None else translatable(functions.as_tools(chat), kinds)
    chat = _repaired(chat, adapter.tool_call_ids or provider.tool_call_ids)
    kept = cast("ChatRequest", supported(chat, provider))
    sent = cast("ChatRequest", {**kept, "service_tier": FLEX}) if call.flex else kept
    outgoing = adapter.build(sent, call, provider)
    ignored = left_out(call.body, dialect.understood) if dialect.understood else ()
    dropped = as_asked({*outgoing.dropped, *refused(chat, kept), *ignored, *dialect.left_out(call.body)}, call.body)
    if dropped:
        outgoing = replace(outgoing, dropped=tuple(sorted(dropped)))
    writer = dialect.writer(call.model, call.body)
    if kinds is not None and functions.are_used(call.body):
        writer = functions.WithFunctionCall(writer)
    return Exchange(
        outgoing,
        authorize_of(provider),
        adapter.framing,
        Translated(adapter.reader(call), WithoutThoughts(writer) if is_excluded(call.body) else writer, call.answer_id),
        of_shape(lambda data: _translated(adapter.parse(data, call), call, provider.protocol)),
    )


def _repaired(chat: ChatRequest, id_form: str | None) -> ChatRequest:
    messages = chat.get("messages")
    if isinstance(messages, list) and any(isinstance(one, dict) and _is_of_tools(one) for one in messages):
        mended = repair(messages, id_form=id_form)
        if not mended:
            raise SurfaceError("no message is left: results of tools mean nothing without the calls that they answer.")
        return {**chat, "messages": mended}
    return chat


def _is_of_tools(message: Message) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _translated(parsed: Parsed, call: Call, protocol: ProtocolName) -> Answer:
    @of_shape
    def body(counted: TokenUsage | None) -> str:
        answer = cast("Completion", parsed.answer)
        if counted:
            answer = {**answer, "usage": usage_json(counted)}
        if call.answer_id:
            answer = {**answer, "id": call.answer_id}
        answer = without_thoughts(answer) if is_excluded(call.body) else answer
        if ADAPTERS[protocol].content is not None and functions.are_used(call.body):
            answer = functions.with_function_call(answer)
        return encode(DIALECTS[call.surface].whole(answer, call.body))

    return Answer(parsed.usage, parsed.delivered_bytes, body)
