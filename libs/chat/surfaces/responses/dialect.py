"""OpenAI's Responses as clients speak it."""

from libs.chat.surfaces.responses.answer import whole
from libs.chat.surfaces.responses.errors import error_event
from libs.chat.surfaces.responses.request import UNDERSTOOD, to_chat
from libs.chat.surfaces.responses.stream import ResponsesWriter
from libs.chat.surfaces.responses.tools import left_out
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(to_chat, whole, ResponsesWriter, error_event, UNDERSTOOD, left_out)
