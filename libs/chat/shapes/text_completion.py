"""OpenAI's completions from before chat. Source: the OpenAI API reference, "Completions"."""

from typing import TypedDict

from libs.chat.shapes.completion import Usage


class TextChoice(TypedDict):
    """One of an answer's texts; in a stream, a piece of one."""

    index: int
    text: str
    logprobs: None
    finish_reason: str | None


class TextCompletion(TypedDict, total=False):
    """An answer, or a chunk of one."""

    id: str
    object: str
    created: int
    model: str | None
    choices: list[TextChoice]
    usage: Usage
