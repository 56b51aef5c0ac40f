"""OpenAI's Responses as clients speak it."""

from typing import cast

from libs.chat.shapes.responses import ResponsesRequest
from libs.chat.surfaces.responses.answer import whole
from libs.chat.surfaces.responses.errors import error_event
from libs.chat.surfaces.responses.request import UNDERSTOOD, to_chat
from libs.chat.surfaces.responses.stream import ResponsesWriter
from libs.chat.surfaces.responses.tools import left_out
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(
    lambda body: to_chat(cast("ResponsesRequest", body)),
    lambda answer, body: whole(answer, cast("ResponsesRequest", body)),
    lambda model, body: ResponsesWriter(model, cast("ResponsesRequest", body)),
    error_event,
    UNDERSTOOD,
    lambda body: left_out(cast("ResponsesRequest", body)),
)
