"""OpenAI's Responses, for models that have no other protocol."""

from libs.chat.providers.content import FILE_ID
from libs.chat.providers.openai_responses.answer import parse_response
from libs.chat.providers.openai_responses.request import build_request
from libs.chat.providers.openai_responses.stream import ResponsesReader
from libs.chat.providers.protocol import Adapter, ask_for_models, bearer
from libs.chat.providers.sse import ServerSentEvents

ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model),
    reader=lambda call: ResponsesReader(model=call.model, created_s=call.created_s),
    framing=ServerSentEvents,
    authorize=bearer,
    check=ask_for_models,
    content=frozenset({"image_url", "file", FILE_ID, "input_audio"}),
)
