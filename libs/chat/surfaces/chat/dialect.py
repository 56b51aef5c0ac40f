"""OpenAI's chat completions as clients speak it: the common tongue, so answers pass as they are."""

from libs.chat.surfaces.chat.errors import error_event
from libs.chat.surfaces.chat.request import wants_usage
from libs.chat.surfaces.chat.stream import ChatWriter
from libs.chat.surfaces.reasoning import with_effort
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(
    with_effort,
    lambda answer, _body: answer,
    lambda _model, body: ChatWriter(usage=wants_usage(body)),
    error_event,
)
