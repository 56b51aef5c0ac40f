"""OpenAI's chat completions, as most providers speak them."""

from libs.chat.providers.openai_chat.answer import parse_response
from libs.chat.providers.openai_chat.request import build_request
from libs.chat.providers.openai_chat.stream import ChatReader
from libs.chat.providers.protocol import Adapter, ask_for_models, bearer
from libs.chat.providers.sse import ServerSentEvents

ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model),
    reader=lambda call: ChatReader(model=call.model),
    framing=ServerSentEvents,
    authorize=bearer,
    check=ask_for_models,
)
