"""Anthropic's Messages, as its provider speaks them."""

from libs.chat.providers.anthropic_messages.answer import parse_response
from libs.chat.providers.anthropic_messages.request import build_request
from libs.chat.providers.anthropic_messages.stream import MessagesReader
from libs.chat.providers.protocol import Adapter, Addressed
from libs.chat.providers.sse import ServerSentEvents

VERSION = "2023-06-01"


def authorize(key: str, url: str, _content: bytes) -> Addressed:
    """The key, and the version that this module speaks."""
    return Addressed(url, {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {}))


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model, created_s=call.created_s),
    reader=lambda call: MessagesReader(model=call.model, created_s=call.created_s),
    framing=ServerSentEvents,
    authorize=authorize,
    check=lambda key, base_url: authorize(key, base_url + "/models", b""),
    tool_call_ids="anthropic",
    content=frozenset({"image_url", "file"}),
)
