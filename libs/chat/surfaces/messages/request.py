"""Requests of Anthropic's Messages as chat completions. Pure.

Source: the Anthropic API reference, "Messages".
"""

from typing import cast

from libs.chat.shapes.completion import ChatRequest, Function, JsonSchema, Tool, ToolChoice
from libs.chat.shapes.messages import Block, MessagesRequest, OutputConfig, Turn
from libs.chat.shapes.messages import Tool as MessagesTool
from libs.chat.surfaces.messages.content import instructions_of, turns_of
from libs.chat.surfaces.reasoning import BUDGETS, effort_of
from libs.chat.surfaces.thoughts import is_ours
from libs.chat.surfaces.writer import (
    SurfaceError,
    is_list_of_objects,
)

_SAME = ("temperature", "top_p", "top_k", "stream")
SERVICE_TIERS = {"standard_only": "default", "auto": "auto"}
UNDERSTOOD = frozenset(
    {
        *_SAME,
        "service_tier",
        "model",
        "max_tokens",
        "messages",
        "metadata",
        "output_config",
        "output_format",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)


def to_chat(body: MessagesRequest) -> ChatRequest:
    """The request as a chat completion.

    Raises:
        SurfaceError: it is not of the form that the reference gives.
    """
    if not isinstance(body.get("max_tokens"), int):
        raise SurfaceError("`max_tokens` is missing: the Messages API wants a whole number.")
    messages = body.get("messages")
    if not is_list_of_objects(messages) or not messages:
        raise SurfaceError("`messages` must be a list of at least one message.")
    chat = cast("ChatRequest", {name: value for name, value in body.items() if name in _SAME})
    chat |= {"model": body.get("model"), "max_tokens": body["max_tokens"], "messages": []}
    if body.get("system"):
        chat["messages"].append({"role": "system", "content": instructions_of(body["system"])})
    for message in messages:
        chat["messages"] += turns_of(message)
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if is_list_of_objects(body.get("tools")) and body["tools"]:
        chat["tools"] = [_tool(tool) for tool in body["tools"]]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        named: ToolChoice = {"type": "function", "function": {"name": choice.get("name")}}
        chat["tool_choice"] = {"auto": "auto", "any": "required", "none": "none"}.get(str(choice.get("type")), named)
        if choice.get("disable_parallel_tool_use"):
            chat["parallel_tool_calls"] = False
    user = (body.get("metadata") or {}).get("user_id") if isinstance(body.get("metadata"), dict) else None
    if isinstance(user, str):
        chat["user"] = user
    if tier := SERVICE_TIERS.get(str(body.get("service_tier"))):
        chat["service_tier"] = tier
    given = body.get("output_config")
    config: OutputConfig = given if isinstance(given, dict) else {}
    if budget := budget_of_thought(body):
        chat |= {"reasoning_effort": effort_of(budget), "reasoning": {"max_tokens": budget}}
    elif isinstance(body.get("thinking"), dict) and body["thinking"].get("type") == "adaptive":
        chat["reasoning_effort"] = config.get("effort") or "high"
    form = config.get("format") or body.get("output_format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        schema: JsonSchema = {"name": "answer", "schema": form.get("schema"), "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def budget_of_thought(body: MessagesRequest) -> int | None:
    """The tokens of thought that the client gives; None where it gives none."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return None
    budget = thinking.get("budget_tokens")
    return budget if isinstance(budget, int) and budget > 0 else BUDGETS["low"]


def _tool(tool: MessagesTool) -> Tool:
    if not isinstance(tool.get("input_schema"), dict):
        raise SurfaceError(
            f"the tool {str(tool.get('name'))[:50]!r} has no `input_schema`: Anthropic's own tools are known only to "
            "providers that speak its Messages API, and this model is at none of them."
        )
    function: Function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    found: Tool = {"type": "function", "function": function}
    if "cache_control" in tool:
        found["cache_control"] = tool["cache_control"]
    return found


def without_carried(body: MessagesRequest) -> MessagesRequest:
    """A request for a provider of Messages, without what came from another model and only we can read."""
    messages = body.get("messages")
    if not is_list_of_objects(messages) or not any(_carries(message) for message in messages or ()):
        return body
    return {**body, "messages": [_without_ours(turn) if _carries(turn) else turn for turn in messages or ()]}


def _without_ours(turn: Turn) -> Turn:
    blocks = cast("list[Block]", turn["content"])
    return {**turn, "content": [block for block in blocks if not is_ours(block.get("signature"))]}


def _carries(turn: Turn) -> bool:
    content = turn.get("content")
    return (
        isinstance(content, list)
        and is_list_of_objects(content)
        and any(is_ours(block.get("signature")) for block in content)
    )
