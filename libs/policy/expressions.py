"""Regular expressions of an organization's own, in texts of requests and answers (ADR 56). Pure.

They are run by RE2, whose time grows with the text alone. What one can match is bounded, so that a stream is held back
no longer than that: how often a part is repeated has an end.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from re import _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, NamedTuple

from contracts.guardrails import TextPattern

if TYPE_CHECKING:
    import re2

MOST_WIDTH = 256
"""Characters that one can match."""
MOST_MEMORY = 1024 * 1024
"""Bytes of a compiled one."""
_ANCHORS = ("AT_BEGINNING", "AT_BEGINNING_STRING", "AT_END", "AT_END_STRING")


class ExpressionError(ValueError):
    """It is none that can be run here. The message is for who wrote it."""


class Span(NamedTuple):
    """Where a pattern matches."""

    first: int
    last: int
    pattern: TextPattern


def check(regex: str) -> None:
    """Raises ExpressionError where an expression cannot be a rule."""
    try:
        tree = _parser.parse(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise ExpressionError(f"it is no regular expression: {error}") from None
    least, most = tree.getwidth()
    if most > MOST_WIDTH:
        raise ExpressionError(f"it may match more than {MOST_WIDTH} characters; say how often at most, as in {{1,64}}")
    if least < 1:
        raise ExpressionError("it may match nothing at all")
    if any(name in repr(tree) for name in _ANCHORS):
        raise ExpressionError("texts come in pieces, which have no beginning and no end: use \\b in place of ^ and $")
    _compiled(regex)


def spans(text: str, patterns: Sequence[TextPattern], start: int = 0) -> Iterator[Span]:
    """What the patterns match from a place on, in the order of the patterns."""
    for pattern in patterns:
        for match in _compiled(pattern.regex).finditer(text, start):
            yield Span(match.start(), match.end(), pattern)


def label(pattern: TextPattern) -> str:
    """What stands in the place of what is redacted."""
    return f"[{pattern.name.upper()}]"


@lru_cache(maxsize=4096)
def _compiled(regex: str) -> "re2._Regexp[str]":
    # Whoever has no such rule does not load it.
    import re2

    options: Any = re2.Options()
    options.log_errors, options.max_mem = False, MOST_MEMORY
    try:
        return re2.compile(regex, options)
    except re2.error as error:
        words = error.args[0] if error.args else "?"
        said = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        raise ExpressionError(f"RE2 does not take it: {said[:100]}") from None
