"""Functions, as chat completions had them before tools: translated to tools, and the answer's call back. Pure.

Source: the OpenAI API reference, "Chat Completions": ``functions``, ``function_call`` (deprecated). An answer has one
call at most; of parallel ones the client sees the first, and so does the model in the next turn.
"""

from typing import TypeVar, cast

from libs.chat.shapes.completion import (
    ChatRequest,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Fields,
    Message,
    Tool,
    ToolCall,
)
from libs.chat.surfaces.reasoning import choices_of
from libs.chat.surfaces.writer import SurfaceError, Writer, is_list_of_objects

A = TypeVar("A", Completion, Chunk)


def are_used(body: Fields) -> bool:
    """The client knows functions, and no tools."""
    return bool(body.get("functions")) and not body.get("tools")


def as_tools(chat: ChatRequest) -> ChatRequest:
    """The request with tools in place of functions.

    Raises:
        SurfaceError: the functions, or the wish to call one, are of another shape.
    """
    functions, wanted = chat.get("functions") or [], chat.get("function_call")
    if not is_list_of_objects(functions):
        raise SurfaceError("`functions` must be a list of functions.")
    kept = {name: value for name, value in chat.items() if name not in ("functions", "function_call")}
    found = cast("ChatRequest", {**kept, "messages": _messages(chat["messages"])})
    if functions:
        tools: list[Tool] = [{"type": "function", "function": function} for function in functions]
        found["tools"] = [*(chat.get("tools") or ()), *tools]
    if isinstance(wanted, str):
        found.setdefault("tool_choice", wanted)
    elif isinstance(wanted, dict):
        found.setdefault("tool_choice", {"type": "function", "function": {"name": wanted.get("name")}})
    elif wanted is not None:
        raise SurfaceError('`function_call` must be "auto", "none" or an object with a name.')
    return found


def _messages(given: list[Message]) -> list[Message]:
    """Calls get IDs by their place; a result is that of the call before it."""
    if not is_list_of_objects(given):
        return given
    found: list[Message] = []
    last = ""
    for number, message in enumerate(given):
        if isinstance(message.get("function_call"), dict):
            last = f"call_{number}"
            call: ToolCall = {"id": last, "type": "function", "function": message["function_call"]}
            message = {**message, "tool_calls": [*(message.get("tool_calls") or ()), call]}
            del message["function_call"]
        elif message.get("role") == "function":
            message = {"role": "tool", "tool_call_id": last, "content": message.get("content")}
        found.append(message)
    return found


def with_function_call(answer: A) -> A:
    """An answer, or a chunk of one, whose first call of a tool is its ``function_call``."""
    choices = [_called(choice) for choice in choices_of(answer)]
    return cast("A", {**answer, "choices": choices})


def _called(choice: Choice | ChunkChoice) -> Fields:
    found: dict[str, object] = {**choice}
    for part in ("message", "delta"):
        message = choice.get(part)
        if isinstance(message, dict) and message.get("tool_calls"):
            kept = {name: value for name, value in message.items() if name != "tool_calls"}
            first = [call["function"] for call in message["tool_calls"] if not call.get("index")][:1]
            found[part] = {**kept, **({"function_call": first[0]} if first else {})}
    if choice.get("finish_reason") == "tool_calls":
        found["finish_reason"] = "function_call"
    return found


class WithFunctionCall:
    """Writes a stream for a client that knows functions. See `libs.chat.surfaces.writer.Writer`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.finish = writer.finish

    def chunk(self, chunk: Chunk) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return self._writer.chunk(with_function_call(chunk))
