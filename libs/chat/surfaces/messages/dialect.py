"""Anthropic's Messages as clients speak it."""

from libs.chat.surfaces.messages.answer import whole
from libs.chat.surfaces.messages.errors import error_event
from libs.chat.surfaces.messages.request import UNDERSTOOD, to_chat
from libs.chat.surfaces.messages.stream import MessagesWriter
from libs.chat.surfaces.writer import Dialect

DIALECT = Dialect(to_chat, whole, lambda model, _body: MessagesWriter(model), error_event, UNDERSTOOD)
