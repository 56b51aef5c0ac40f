"""Conditions of rules, in CEL (Common Expression Language): over what is known of a request, and never its texts.

Of CEL what has no loops: `all`, `exists`, `map`, `filter` and whatever else binds names could take any time and memory,
and no library bounds both (ADR 47). What is left is done once through, and takes microseconds.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

from contracts.guardrails import MOST_CONDITION_CHARACTERS
from contracts.mcp import server_of
from contracts.requests import RequestAccepted

_TOKENS = re.compile(
    r"""(?P<space>[ \t\n]+)|(?P<text>r?"[^"\\\n]*(?:\\.[^"\\\n]*)*"|r?'[^'\\\n]*(?:\\.[^'\\\n]*)*')"""
    r"""|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[=!<>]=|[-()\[\],.?:!<>+*/%])"""
)
NAMES = frozenset(
    {"account", "client_version", "customer", "hour", "input_tokens", "key", "mode", "model", "output_tokens"}
    | {"prompt_bytes", "role", "server", "stream", "surface", "tags", "task", "tool", "usd", "weekday"}
)
"""Those of `facts`."""
FUNCTIONS = frozenset({"contains", "double", "endsWith", "int", "matches", "size", "startsWith", "string"})
_WORDS = frozenset({"true", "false", "in"})


class ConditionError(ValueError):
    """An expression cannot be a condition; the message is for who wrote it."""


def facts(request: RequestAccepted, most_microdollars: int) -> dict[str, Any]:
    """What a condition may ask for. It follows from the record alone: whoever asks again is answered alike.

    Args:
        most_microdollars: that the request can cost.
    """
    at = datetime.fromtimestamp(request.accepted_at_ms / 1000, UTC)
    caller, labels = request.caller, request.labels
    return {
        "model": request.model,
        "surface": request.surface.value,
        "stream": request.stream,
        "account": caller.account_id or "",
        "role": caller.role or "",
        "key": caller.key_fingerprint or "",
        "task": request.task_id or "",
        "mode": request.mode or "",
        "client_version": request.client_version or "",
        "tags": list(labels.tags) if labels else [],
        "customer": (labels.customer if labels else None) or "",
        "server": server_of(request.model) or "",
        "tool": request.tool or "",
        "prompt_bytes": request.prompt_bytes,
        "input_tokens": request.input_tokens_most,
        "output_tokens": request.output_tokens_most,
        "usd": most_microdollars / 1_000_000,
        "hour": at.hour,
        "weekday": at.isoweekday(),
    }


def holds(expression: str, known: Mapping[str, Any]) -> bool:
    """Whether a condition holds.

    Raises:
        ConditionError: it cannot be decided.
    """
    try:
        found = _program(expression)(dict(known))
    except ConditionError:
        raise
    except Exception as error:
        raise ConditionError(f"it cannot be decided: {_first_line(error)}") from None
    if not isinstance(found, bool):
        raise ConditionError("it must be true or false")
    return found


def check(expression: str) -> None:
    """Raises ConditionError where an expression is no condition."""
    _program(expression)


@lru_cache(maxsize=1_000)
def names_in(expression: str) -> frozenset[str]:
    """Of `NAMES`, those that a condition asks for."""
    words = (found[0] for found in _TOKENS.finditer(expression) if found.lastgroup == "name")
    return NAMES.intersection(words)


@lru_cache(maxsize=1_000)
def _program(expression: str) -> Callable[[dict[str, Any]], object]:
    _check_words(expression)
    try:
        run: Callable[[dict[str, Any]], object] = _library().compile(expression).execute
        return run
    except ConditionError:
        raise
    except Exception as error:
        raise ConditionError(f"it is not CEL: {_first_line(error)}") from None


@cache
def _library() -> Any:
    """Loaded by the first condition. The package would load its command line, too, so this is what is within."""
    package = find_spec("cel")
    within = package and PathFinder.find_spec("cel", package.submodule_search_locations)
    if not within or not within.loader:
        raise ConditionError("this gateway was installed without CEL")
    library = module_from_spec(within)
    within.loader.exec_module(library)
    return library


def _check_words(expression: str) -> None:
    if not 0 < len(expression) <= MOST_CONDITION_CHARACTERS:
        raise ConditionError(f"a condition has 1 to {MOST_CONDITION_CHARACTERS} characters")
    at, before = 0, ""
    while at < len(expression):
        found = _TOKENS.match(expression, at)
        if not found:
            raise ConditionError(f"{expression[at]!r} has no place in a condition")
        token, kind, at = found[0], found.lastgroup, found.end()
        if kind == "space":
            continue
        if kind == "text" and before[-1:] in ("'", '"'):
            # Two texts side by side are one between three quotes, which has other rules.
            raise ConditionError("a text has one quote on each side")
        if kind == "name":
            _check_name(token, member=before == ".", called=expression[at:].lstrip().startswith("("))
        before = token


def _check_name(name: str, *, member: bool, called: bool) -> None:
    if called:
        if name not in FUNCTIONS and name != "in":
            raise ConditionError(f"there is no function {name[:40]!r}; there are {', '.join(sorted(FUNCTIONS))}")
    elif member or name not in NAMES | _WORDS:
        raise ConditionError(f"nothing is known as {name[:40]!r}; there are {', '.join(sorted(NAMES))}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
