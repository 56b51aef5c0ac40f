"""One call of one provider, from the client's body to the client's answer, whatever either of them speaks. Sans-I/O."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from pydantic_core import to_json

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.exact_json import encode
from libs.chat.providers import completions, embeddings, fim, gemini_embeddings, native
from libs.chat.providers.answers import Answer, Exchange, Stream
from libs.chat.providers.anthropic_messages.request import outgoing as messages_outgoing
from libs.chat.providers.anthropic_messages.thinking import adapted
from libs.chat.providers.carrying import carrying
from libs.chat.providers.client_headers import with_headers
from libs.chat.providers.fields import refused, without_unsupported
from libs.chat.providers.openai_chat.answer import parse_response as parse_chat
from libs.chat.providers.openai_chat.stream import ChatReader
from libs.chat.providers.openai_chat.usage import usage_json
from libs.chat.providers.openai_responses.request import PATH as RESPONSES_PATH
from libs.chat.providers.platforms import authorize_of
from libs.chat.providers.protocol import Call, Outgoing, Parsed, of_shape
from libs.chat.providers.several import several
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.providers.tiers import FLEX
from libs.chat.providers.translation import Translated, translation
from libs.chat.shapes.embeddings import EmbeddingsRequest
from libs.chat.shapes.messages import MessagesRequest
from libs.chat.shapes.responses import ResponsesRequest
from libs.chat.surfaces import references
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.messages import request as messages
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.surfaces.responses import request as responses
from libs.chat.surfaces.writer import SurfaceError, clients_shape
from libs.config.providers import Provider


def exchange(call: Call, provider: Provider, guard: Callable[[Exchange], Exchange] | None = None) -> Exchange:
    """The exchange of a call with a provider.

    Args:
        guard: what becomes of the answer before anything carries or keeps it.

    Raises:
        libs.chat.surfaces.writer.SurfaceError: the provider cannot be sent this.
    """
    if _is_split(call, provider):
        found = several(call, lambda part: exchange(part, provider))
        return guard(found) if guard else found
    with clients_shape():
        found = _exchange(call, provider)
    if guard:
        found = guard(found)
    if call.surface is Surface.RESPONSES and _is_carried(call, provider):
        found = carrying(found)
    return replace(found, outgoing=with_headers(found.outgoing, call, provider)) if call.headers else found


def _is_split(call: Call, provider: Provider) -> bool:
    """The request has several prompts, and the provider takes one at a time."""
    prompts = call.body.get("prompt")
    has_several = call.surface is Surface.COMPLETIONS and isinstance(prompts, list) and len(prompts) > 1
    return has_several and not provider.speaks(call.surface)


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
        return _native_messages(call, provider)
    return translation(call, provider)


def _responses(call: Call, provider: Provider) -> Exchange:
    if provider.speaks(call.surface):
        return _native_responses(call, provider)
    return translation(call, provider)


def _is_carried(call: Call, provider: Provider) -> bool:
    """The answer's items may be referred to, and its provider does not keep them."""
    stored = provider.speaks(call.surface) and references.are_kept_by_provider(call.body)
    return references.are_expected(call.body) and not stored


def _native_responses(call: Call, provider: Provider) -> Exchange:
    kept = without_unsupported(call.body, provider)
    given = cast("ResponsesRequest", {**kept, "model": call.upstream_model, "stream": call.streamed})
    body = references.for_provider(given, reasons="reasoning" not in provider.unsupported)
    body = responses.without_carried(cast("ResponsesRequest", call.identifiers.beside(body)))
    if call.cap_tokens:
        body["max_output_tokens"] = call.cap_tokens
    if call.flex:
        body["service_tier"] = FLEX
    sent = Outgoing(RESPONSES_PATH, to_json(body), refused(call.body, kept))
    return _native(sent, call, provider, native.responses_stream(call.model))


def _native_messages(call: Call, provider: Provider) -> Exchange:
    kept = without_unsupported(call.body, provider)
    given = cast("MessagesRequest", {**kept, "model": call.upstream_model, "stream": call.streamed})
    body = adapted(messages.without_carried(given), provider)
    sent = messages_outgoing(body, provider, refused(call.body, kept))
    return _native(sent, call, provider, native.messages_stream(call.model))


def _native(sent: Outgoing, call: Call, provider: Provider, stream: Stream) -> Exchange:
    return _plain(sent, provider, stream, lambda data: native.parse_response(data, model=call.model))


def _embeddings(call: Call, provider: Provider) -> Exchange:
    stream = Translated(ChatReader(model=call.model), DIALECTS[call.surface].writer(call.model, call.body))
    asked = cast("EmbeddingsRequest", call.body)
    if provider.protocol == "gemini" and call.surface not in provider.lacks:
        return _plain(
            gemini_embeddings.build(asked, call.upstream_model),
            provider,
            stream,
            lambda data: gemini_embeddings.parse(data, asked, model=call.model),
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
        lambda data: parse_chat(data, model=call.model),
        usage_json,
    )


def _completions(call: Call, provider: Provider) -> Exchange:
    return _plain(
        completions.build(call, provider),
        provider,
        Translated(ChatReader(model=call.model), ChatWriter(usage=wants_usage(call.body))),
        lambda data: parse_chat(data, model=call.model),
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
    count: Callable[[TokenUsage], Mapping[str, object]] | None = None,
) -> Exchange:
    """What passes without a translation of its answer. ``count`` writes our own count in the answer's shape."""

    @of_shape
    def whole(data: bytes) -> Answer:
        parsed = parse(data)

        @of_shape
        def body(counted: TokenUsage | None) -> str:
            return encode({**parsed.answer, "usage": count(counted)} if counted and count else parsed.answer)

        return Answer(parsed.usage, parsed.delivered_bytes, body)

    return Exchange(outgoing, authorize_of(provider), ServerSentEvents, stream, whole)
