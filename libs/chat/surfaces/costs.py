"""What an answer cost, in its own usage, for clients that ask with ``usage: {include: true}``. Pure.

Source: OpenRouter, "Usage Accounting": ``cost`` and ``cost_details`` in ``usage``, in USD.
"""

from typing import TypedDict, TypeVar

from libs.chat.exact_json import decode, encode
from libs.chat.shapes.completion import Fields

PREFIX = "gen-"
"""Of an answer's ID that ``GET /generation`` takes; the request's ID follows."""
_DATA = "data: "
A = TypeVar("A")


class CostDetails(TypedDict, total=False):
    """What the provider asks, in USD."""

    upstream_inference_cost: float | None
    upstream_inference_prompt_cost: float
    upstream_inference_completions_cost: float


class Costs(TypedDict, total=False):
    """What is added to an answer's usage, in USD."""

    cost: float
    is_byok: bool
    cost_details: CostDetails


def are_wanted(body: Fields) -> bool:
    """The client asks for the cost."""
    usage = body.get("usage")
    return isinstance(usage, dict) and usage.get("include") is True


def with_costs(text: str, costs: Costs) -> str:
    """A whole answer, or the last events of a stream, whose usage has the costs, too; what has no usage stays."""
    if not text.startswith(("event:", "data:")):
        return encode(_priced(decode(text), costs))
    return "\n".join(_line(line, costs) for line in text.split("\n"))


def _line(line: str, costs: Costs) -> str:
    if not line.startswith(_DATA) or '"usage"' not in line:
        return line
    return _DATA + encode(_priced(decode(line.removeprefix(_DATA)), costs))


def _priced(answer: A, costs: Costs) -> A:
    """Of Responses, an event holds the answer."""
    for holder in (answer, answer.get("response")) if isinstance(answer, dict) else ():
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            holder["usage"] = {**holder["usage"], **costs}
    return answer
