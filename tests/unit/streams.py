"""A provider's bytes through the relay's reader and the translation, as the relay does it, to the client's events."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson

from contracts.requests import Surface
from deploy.local.stub.app import PROTOCOLS as BY_PATH
from deploy.local.stub.protocol import StubProtocol
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.config.providers import ProtocolName, Provider
from services.relay.upstream import Response, read_events

MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[Surface, dict[str, Any]] = {
    Surface.CHAT_COMPLETIONS: {"messages": MESSAGES, "stream_options": {"include_usage": True}},
    Surface.RESPONSES: {"input": "hi", "store": False},
    Surface.MESSAGES: {"messages": MESSAGES, "max_tokens": 9},
}
"""The least that each surface takes."""
STUBS: dict[ProtocolName, StubProtocol] = {
    "openai-chat": dict(BY_PATH)["/chat/completions"],
    "openai-responses": dict(BY_PATH)["/responses"],
    "anthropic-messages": dict(BY_PATH)["/messages"],
    "gemini": dict(BY_PATH)[":generateContent"],
    "bedrock-converse": dict(BY_PATH)["/converse"],
}


class Pieces:
    """Bytes, as a connection brings them."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def exchange_of(
    surface: Surface,
    protocol: ProtocolName = "openai-chat",
    body: dict[str, Any] | None = None,
    *,
    streamed: bool = True,
    **provider: Any,
) -> Exchange:
    """The exchange of a request with the least in it, or of this one."""
    asked = {"model": "a/b", **(BODIES[surface] if body is None else body)}
    call = Call(surface, asked, "a/b", "up", streamed, cap_tokens=None, most_tokens=100, created_s=1)
    return exchange(call, Provider(base_url="http://x", protocol=protocol, **provider))


async def relay(found: Exchange, pieces: Iterable[bytes]) -> str:
    """All that the client gets of a stream that ends well."""
    response = Response(200, {}, Pieces(pieces))
    text = "".join([found.stream.event(data) async for data in read_events("p", response, found.framing())])
    assert found.stream.finished
    return text + found.stream.finish(None)


def events_of(text: str) -> list[dict[str, Any]]:
    """The objects of server-sent events that we wrote."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [orjson.loads(line) for line in lines if line != "[DONE]"]
