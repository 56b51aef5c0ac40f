"""How much a model is to think, as clients of chat completions ask for it. Pure.

A chat completion has ``reasoning_effort`` (OpenAI). OpenRouter's ``reasoning: {effort, max_tokens, enabled, exclude}``
("Reasoning Tokens") becomes that; of the object only ``max_tokens`` stays, for protocols that take a budget of tokens.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from libs.chat.shapes.completion import (
    ChatRequest,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    Detail,
    Fields,
    Reasoning,
)
from libs.chat.surfaces.writer import SurfaceError, Writer

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 65_536}
"""Tokens of thought that stand for an effort, for models that are told a budget."""
NONE, DEFAULT = "none", "medium"
_EFFORTS = ((2_048, "low"), (8_192, "medium"))
_KINDS: dict[str, type] = {"effort": str, "max_tokens": int, "enabled": bool, "exclude": bool}
_FIELDS = ("reasoning_effort", "reasoning", "thinking")
A = TypeVar("A", Completion, Chunk)
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")


def with_effort(body: Fields) -> ChatRequest:
    """A chat completion's request with an effort, and the budget of tokens that the client gave.

    Raises:
        SurfaceError: ``reasoning_effort`` is no text, or ``reasoning`` is not of OpenRouter's shape.
    """
    named = body.get("reasoning_effort")
    if not isinstance(named, str | None):
        raise SurfaceError("`reasoning_effort` must be text, for example `high`.")
    asked = _checked(body.get("reasoning"))
    found = cast("ChatRequest", {name: value for name, value in body.items() if name != "reasoning"})
    budget = asked.get("max_tokens")
    if asked.get("enabled") is False:
        found["reasoning_effort"] = NONE
        return found
    effort = named or asked.get("effort") or (effort_of(budget) if budget else None)
    if effort or asked.get("enabled"):
        found["reasoning_effort"] = effort or DEFAULT
    if budget:
        found["reasoning"] = {"max_tokens": budget}
    return found


def _checked(asked: object) -> Reasoning:
    if not isinstance(asked, dict | None):
        raise SurfaceError('`reasoning` must be an object, for example {"effort": "high"}.')
    given = {name: value for name, value in (asked or {}).items() if value is not None}
    for name, kind in _KINDS.items():
        # A truth value is a whole number to Python.
        if name in given and (type(given[name]) is not kind or (kind is int and given[name] < 1)):
            raise SurfaceError(f"`reasoning.{name}` must be {_FORMS[kind]}.")
    return cast("Reasoning", given)


_FORMS = {str: "text, for example `high`", int: "a whole number of at least 1", bool: "true or false"}


def effort_of(tokens: int) -> str:
    """The effort that a budget of thought stands for."""
    return next((effort for most, effort in _EFFORTS if tokens <= most), "high")


def budget_of(chat: ChatRequest) -> int | None:
    """The budget of thought that the client gave, in tokens."""
    budget = (chat.get("reasoning") or {}).get("max_tokens")
    return budget if isinstance(budget, int) else None


def as_asked(names: set[str], body: Fields) -> set[str]:
    """Names of fields that were left out, with the client's own for the one that asks for thought."""
    asked = next((name for name in _FIELDS if body.get(name)), None)
    return {asked if asked and name in _FIELDS else name for name in names}


def is_excluded(body: Fields) -> bool:
    """The client of chat completions does not want to see thoughts."""
    reasoning = body.get("reasoning")
    return isinstance(reasoning, dict) and reasoning.get("exclude") is True


def is_openrouters(body: Fields) -> bool:
    """The client asked in OpenRouter's shape, so it reads thoughts from OpenRouter's ``reasoning``."""
    return isinstance(body.get("reasoning"), dict)


def with_thoughts_named(answer: A) -> A:
    """A chat completion, or a chunk of one, with thoughts as ``reasoning`` beside ``reasoning_content``."""
    return _changed(answer, _with_reasoning)


def _with_reasoning(said: Delta) -> Delta:
    text, details = said.get("reasoning_content"), said.get("reasoning_details")
    if not isinstance(text, str) or not text:
        return said
    found: Delta = {"reasoning": text, **said}
    if isinstance(details, list) and not any(isinstance(one, dict) and one.get("text") for one in details):
        # Its clients read the details alone, where there are any.
        summary: Detail = {"type": "reasoning.summary", "summary": text}
        found["reasoning_details"] = [summary, *details]
    return found


def without_thoughts(answer: A) -> A:
    """A chat completion, or a chunk of one, without thoughts."""
    return _changed(answer, _without)


def _without(said: Delta) -> Delta:
    return cast("Delta", {name: value for name, value in said.items() if name not in _THOUGHTS})


def _changed(answer: A, change: Callable[[Delta], Delta]) -> A:
    """The answer with each of its messages, or deltas, changed."""
    choices = [_with_change(choice, change) if isinstance(choice, dict) else choice for choice in choices_of(answer)]
    return cast("A", {**answer, "choices": choices})


def _with_change(choice: Choice | ChunkChoice, change: Callable[[Delta], Delta]) -> Fields:
    said = {name: value for name, value in choice.items() if name in ("message", "delta") and isinstance(value, dict)}
    return {**choice, **{name: change(cast("Delta", value)) for name, value in said.items()}}


def choices_of(answer: Completion | Chunk) -> Sequence[Choice | ChunkChoice]:
    """What an answer, or a chunk of one, brings."""
    return answer.get("choices") or ()


class WithoutThoughts:
    """Writes a stream of chat completions without thoughts. See `libs.chat.surfaces.writer.Writer`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.finish = writer.finish

    def chunk(self, chunk: Chunk) -> str:
        """Nothing for a chunk that brought nothing but thoughts."""
        kept = without_thoughts(chunk)
        said = [choice for choice in kept["choices"] if not _is_empty(choice)]
        return "" if kept != chunk and not said else self._writer.chunk(kept)


def _is_empty(choice: ChunkChoice) -> bool:
    return isinstance(choice, dict) and not choice.get("delta") and not choice.get("finish_reason")
