"""Whole answers of OpenAI's chat completions: nearly as they are. Pure."""

from libs.chat.shapes.completion import Completion, Fields
from libs.chat.surfaces.reasoning import is_openrouters, with_thoughts_named


def whole(answer: Completion, body: Fields) -> Completion:
    """The answer, with thoughts under the name that the client reads them by."""
    return with_thoughts_named(answer) if is_openrouters(body) else answer
