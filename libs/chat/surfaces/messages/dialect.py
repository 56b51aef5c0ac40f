"""Anthropic's Messages as clients speak it."""

from typing import cast

from libs.chat.shapes.messages import MessagesRequest
from libs.chat.surfaces.messages.answer import whole
from libs.chat.surfaces.messages.errors import error_event
from libs.chat.surfaces.messages.request import UNDERSTOOD, to_chat
from libs.chat.surfaces.messages.stream import MessagesWriter
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(
    lambda body: to_chat(cast("MessagesRequest", body)),
    lambda answer, _body: whole(answer),
    lambda model, _body: MessagesWriter(model),
    error_event,
    UNDERSTOOD,
)
