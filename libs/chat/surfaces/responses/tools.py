"""Tools of OpenAI's Responses for models that know functions alone. Pure.

A ``custom`` tool (Codex's ``apply_patch``) takes free text: it becomes a function with one argument, and its calls
become calls of a custom tool again. Tools that OpenAI runs, or whose form is its own (``web_search``, ``namespace``),
are left out beside others; alone they are refused, as an answer without them would not be what was asked for.
Source: the OpenAI API reference, "Responses", and its guide to function calling, "Custom tools".
"""

from typing import cast

from libs.chat.exact_json import decode, encode
from libs.chat.shapes.completion import Function, Tool
from libs.chat.shapes.responses import Item, ResponsesRequest
from libs.chat.shapes.responses import Tool as ResponsesTool
from libs.chat.surfaces.writer import SurfaceError, is_list_of_objects

ARGUMENT = "input"
_SCHEMA = {
    "type": "object",
    "properties": {ARGUMENT: {"type": "string"}},
    "required": [ARGUMENT],
    "additionalProperties": False,
}
_KEPT = ("name", "description", "parameters", "strict")


def functions_of(tools: list[ResponsesTool]) -> list[Tool]:
    """The tools of a chat completion.

    Raises:
        SurfaceError: there are tools, but none that can be said.
    """
    found = [_function(tool) for tool in tools if tool.get("type") in ("function", "custom")]
    if tools and not found:
        kind = str(tools[0].get("type"))[:50]
        raise SurfaceError(f"tools of type {kind!r} are OpenAI's own; only `function` and `custom` tools are here.")
    return found


def left_out(body: ResponsesRequest) -> set[str]:
    """Types of the tools that are left out."""
    given = body.get("tools")
    kinds = {str(tool.get("type")) for tool in given} if given and is_list_of_objects(given) else set()
    return kinds - {"function", "custom"}


def custom_names(body: ResponsesRequest) -> frozenset[str]:
    """Names of the custom tools."""
    given = body.get("tools")
    tools = given if given and is_list_of_objects(given) else []
    return frozenset(str(tool.get("name")) for tool in tools if tool.get("type") == "custom")


def arguments_of(text: object) -> str:
    """A custom tool's input as a function's arguments."""
    return encode({ARGUMENT: text if isinstance(text, str) else ""})


def input_of(arguments: str) -> str:
    """The arguments of a function as a custom tool's input; a model that wrote no such JSON wrote the input itself."""
    try:
        found = decode(arguments)
    except ValueError:
        return arguments
    given = found.get(ARGUMENT) if isinstance(found, dict) else None
    return given if isinstance(given, str) else arguments


def custom_item(item_id: str, call_id: str | None, name: str | None, text: str, status: str = "completed") -> Item:
    """A call of a custom tool."""
    return {
        "type": "custom_tool_call",
        "id": item_id,
        "call_id": call_id,
        "name": name,
        "input": text,
        "status": status,
    }


def _function(tool: ResponsesTool) -> Tool:
    if tool["type"] == "function":
        kept = {name: value for name, value in tool.items() if name in _KEPT and value is not None}
        return {"type": "function", "function": cast("Function", kept)}
    form = tool.get("format")
    grammar = form.get("definition") if isinstance(form, dict) else None
    parts = (tool.get("description"), grammar and f"`{ARGUMENT}` follows this grammar:\n{grammar}")
    described = {"description": "\n\n".join(part for part in parts if isinstance(part, str) and part)}
    function = {"name": tool.get("name"), **described, "parameters": _SCHEMA}
    return {"type": "function", "function": cast("Function", function)}
