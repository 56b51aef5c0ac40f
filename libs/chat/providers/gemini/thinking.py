"""How Gemini is asked to think. Pure.

Source: the Gemini API reference, "Thinking".
"""

from libs.chat.shapes.completion import ChatRequest
from libs.chat.shapes.gemini import GenerationConfig
from libs.chat.surfaces.reasoning import budget_of

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


def thinking(chat: ChatRequest, upstream_model: str) -> GenerationConfig:
    """Gemini 2.5 takes a budget of tokens, from 3 on a level; "none" is a budget of 0 ("Thinking")."""
    effort = chat.get("reasoning_effort")
    if effort is None:
        return {}
    if effort == "none":
        return {"thinkingConfig": {"thinkingBudget": 0}}
    if not signs(upstream_model):
        budget = budget_of(chat) or {"minimal": 512, "low": 1_024, "medium": 8_192}.get(str(effort), 24_576)
        return {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": budget}}
    return {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": _LEVELS.get(str(effort), "high")}}


def signs(upstream_model: str) -> bool:
    """From Gemini 3 on a function call without a signature is refused."""
    return not upstream_model.startswith(("gemini-1", "gemini-2"))
