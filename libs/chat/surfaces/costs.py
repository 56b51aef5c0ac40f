"""What an answer cost, in its own usage, for clients that ask with ``usage: {include: true}``. Pure.

Source: OpenRouter, "Usage Accounting": ``cost`` and ``cost_details`` in ``usage``, in USD.
"""

from collections.abc import Mapping
from typing import Any

from libs.chat.completion import JsonObject
from libs.chat.exact_json import decode, encode

PREFIX = "gen-"
"""Of an answer's ID that ``GET /generation`` takes; the request's ID follows."""
_DATA = "data: "


def are_wanted(body: Mapping[str, Any]) -> bool:
    """The client asks for the cost."""
    usage = body.get("usage")
    return isinstance(usage, dict) and usage.get("include") is True


def with_costs(text: str, costs: JsonObject) -> str:
    """A whole answer, or the last events of a stream, whose usage has the costs, too; what has no usage stays."""
    if not text.startswith(("event:", "data:")):
        return encode(_priced(decode(text), costs))
    return "\n".join(_line(line, costs) for line in text.split("\n"))


def _line(line: str, costs: JsonObject) -> str:
    if not line.startswith(_DATA) or '"usage"' not in line:
        return line
    return _DATA + encode(_priced(decode(line.removeprefix(_DATA)), costs))


def _priced(answer: Any, costs: JsonObject) -> Any:
    """Of Responses, an event holds the answer."""
    for holder in (answer, answer.get("response")) if isinstance(answer, dict) else ():
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            holder["usage"] = {**holder["usage"], **costs}
    return answer
