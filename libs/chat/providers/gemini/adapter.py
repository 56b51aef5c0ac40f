"""Google's Gemini."""

from libs.chat.providers.gemini.answer import parse_response
from libs.chat.providers.gemini.request import build_request
from libs.chat.providers.gemini.stream import GeminiReader
from libs.chat.providers.protocol import Adapter, Addressed
from libs.chat.providers.sse import ServerSentEvents


def authorize(key: str, url: str, _content: bytes) -> Addressed:
    """The key as a header: never in the URL, which ends in logs."""
    return Addressed(url, {"x-goog-api-key": key} if key else {})


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model, created_s=call.created_s),
    reader=lambda call: GeminiReader(model=call.model, created_s=call.created_s),
    framing=ServerSentEvents,
    authorize=authorize,
    check=lambda key, base_url: authorize(key, base_url + "/models", b""),
    content=frozenset({"image_url", "file", "input_audio", "video_url"}),
)
