"""AWS Bedrock's Converse."""

from libs.chat.providers.bedrock_converse.answer import parse_response
from libs.chat.providers.bedrock_converse.framing import EventStream
from libs.chat.providers.bedrock_converse.request import build_request
from libs.chat.providers.bedrock_converse.signing import authorize, check
from libs.chat.providers.bedrock_converse.stream import ConverseReader
from libs.chat.providers.protocol import Adapter

ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model, created_s=call.created_s),
    reader=lambda call: ConverseReader(model=call.model, created_s=call.created_s),
    framing=EventStream,
    authorize=authorize,
    check=check,
    tool_call_ids="anthropic",
    content=frozenset({"image_url", "file", "video_url"}),
)
