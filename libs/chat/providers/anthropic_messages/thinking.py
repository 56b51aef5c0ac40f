"""How Claude is asked to think, here and at AWS. Pure.

Source: the Anthropic documentation, "Extended thinking" and "Adaptive thinking".
"""

from typing import TypedDict

from libs.chat.shapes.completion import ChatRequest
from libs.chat.shapes.messages import MessagesRequest, OutputConfig, Thinking
from libs.chat.surfaces.messages.request import budget_of_thought
from libs.chat.surfaces.reasoning import BUDGETS, budget_of, effort_of
from libs.chat.surfaces.thoughts import for_claude
from libs.config.providers import Provider

NOT_BESIDE_THOUGHT = ("temperature", "top_k")
"""Refused where the model thinks ("Extended thinking": compatibility)."""
LEAST_BUDGET = 1_024
"""Tokens of thought; less is refused ("Extended thinking")."""
_EFFORTS = {"minimal": "low"}


class Thought(TypedDict, total=False):
    """Fields of a request that ask for thought."""

    thinking: Thinking
    output_config: OutputConfig


ADAPTIVE: Thinking = {"type": "adaptive", "display": "summarized"}


def thinking(chat: ChatRequest, limit: int, provider: Provider) -> Thought:
    """How Claude is asked to think; nothing where the client did not ask.

    Models from 4.6 on decide themselves how much ("Adaptive thinking"); older ones want a budget.
    """
    effort = str(chat.get("reasoning_effort"))
    if effort not in BUDGETS or not _may_think(chat, provider):
        return {}
    if provider.thinking == "adaptive":
        return {"thinking": ADAPTIVE, "output_config": {"effort": _EFFORTS.get(effort, effort)}}
    budget = max(budget_of(chat) or BUDGETS[effort], LEAST_BUDGET)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}} if limit > budget else {}


def _may_think(chat: ChatRequest, provider: Provider) -> bool:
    """Thinking is refused beside a tool that must be called, and (with a budget) after calls whose thought is missing.

    Most clients of chat completions do not send thoughts back ("Extended thinking": preserving thinking blocks).
    """
    if chat.get("tools") and chat.get("tool_choice") not in (None, "auto", "none"):
        return False
    said = [message for message in chat.get("messages") or () if message.get("role") == "assistant"]
    if provider.thinking == "adaptive" or not said or not said[-1].get("tool_calls"):
        return True
    return any(for_claude(said[-1]))


def adapted(body: MessagesRequest, provider: Provider) -> MessagesRequest:
    """A client's own message request; a budget of thought, where the model refuses one, becomes an effort.

    The client may not know which model it talks to: ``kilo-auto/*`` chooses for it.
    """
    budget = budget_of_thought(body) if provider.thinking == "adaptive" else None
    if budget is None:
        return body
    config: OutputConfig = {"effort": effort_of(budget), **(body.get("output_config") or {})}
    return {**body, "thinking": ADAPTIVE, "output_config": config}
