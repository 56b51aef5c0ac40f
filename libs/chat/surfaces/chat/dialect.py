"""OpenAI's chat completions as clients speak it: the common tongue, so answers pass nearly as they are."""

from libs.chat.surfaces.chat.errors import error_event
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.reasoning import is_openrouters, with_effort, with_thoughts_named
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(
    with_effort,
    lambda answer, body: with_thoughts_named(answer) if is_openrouters(body) else answer,
    lambda _model, body: ChatWriter(usage=wants_usage(body), named=is_openrouters(body)),
    error_event,
)
