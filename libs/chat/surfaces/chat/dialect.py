"""OpenAI's chat completions as clients speak it: the common tongue, so answers pass nearly as they are."""

from libs.chat.surfaces.chat.answer import whole
from libs.chat.surfaces.chat.errors import error_event
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.reasoning import is_openrouters, with_effort
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(
    with_effort,
    whole,
    lambda _model, body: ChatWriter(usage=wants_usage(body), named=is_openrouters(body)),
    error_event,
)
