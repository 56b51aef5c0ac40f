"""Requests of OpenAI's Responses as chat completions; every request says all, and nothing is kept. Pure.

Source: the OpenAI API reference, "Responses".
"""

from typing import cast

from libs.chat.shapes.completion import ChatRequest, JsonSchema
from libs.chat.shapes.responses import ResponsesRequest
from libs.chat.surfaces.responses.content import messages_of
from libs.chat.surfaces.responses.tools import functions_of
from libs.chat.surfaces.thoughts import is_ours
from libs.chat.surfaces.writer import SurfaceError, is_list_of_objects

_SAME = (
    "model",
    "temperature",
    "top_p",
    "stream",
    "parallel_tool_calls",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
)
_OF_SCHEMA = ("name", "description", "schema", "strict")
UNDERSTOOD = frozenset(
    {
        *_SAME,
        "input",
        "instructions",
        "max_output_tokens",
        "metadata",
        "reasoning",
        "store",
        "text",
        "tool_choice",
        "tools",
    }
)


def to_chat(body: ResponsesRequest) -> ChatRequest:
    """The request as a chat completion.

    Raises:
        SurfaceError: it is not of the form that the reference gives, or relies on what only OpenAI keeps.
    """
    for name in ("previous_response_id", "conversation", "prompt"):
        if body.get(name):
            raise SurfaceError(f"`{name}` is not kept here: send the whole conversation as `input`.")
    chat = cast("ChatRequest", {name: value for name, value in body.items() if name in _SAME and value is not None})
    if (limit := body.get("max_output_tokens")) is not None:
        chat["max_tokens"] = limit
    chat["messages"] = []
    if body.get("instructions"):
        chat["messages"].append({"role": "system", "content": body["instructions"]})
    chat["messages"] += messages_of(body.get("input"))
    tools = body.get("tools") or []
    if not is_list_of_objects(tools):
        raise SurfaceError("`tools` must be a list of tools.")
    if tools:
        chat["tools"] = functions_of(tools)
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif choice:
        chat["tool_choice"] = choice
    effort = (body.get("reasoning") or {}).get("effort") if isinstance(body.get("reasoning"), dict) else None
    if effort:
        chat["reasoning_effort"] = effort
    form = (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema":
        kept = {name: value for name, value in form.items() if name in _OF_SCHEMA}
        chat["response_format"] = {"type": "json_schema", "json_schema": cast("JsonSchema", kept)}
    elif isinstance(form, dict) and form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}
    if isinstance(body.get("text"), dict) and body["text"].get("verbosity"):
        chat["verbosity"] = body["text"]["verbosity"]
    return chat


def without_carried(body: ResponsesRequest) -> ResponsesRequest:
    """A request for a provider of Responses, without what came from another model and only we can read."""
    given = body.get("input")
    if not isinstance(given, list) or not is_list_of_objects(given):
        return body
    return {**body, "input": [item for item in given if not is_ours(item.get("encrypted_content"))]}
