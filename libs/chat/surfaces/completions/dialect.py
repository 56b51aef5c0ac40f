"""OpenAI's completions from before chat as clients speak it. Errors have the form that those of chat have."""

from libs.chat.surfaces.chat.errors import error_event
from libs.chat.surfaces.completions.answer import whole
from libs.chat.surfaces.completions.request import UNDERSTOOD, to_chat
from libs.chat.surfaces.completions.stream import CompletionsWriter
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(to_chat, whole, lambda _model, body: CompletionsWriter(body), error_event, UNDERSTOOD)
