"""Items of a request's input as a chat completion's messages. Pure.

Source: the OpenAI API reference, "Responses": input items.
"""

from pydantic_core import to_json

from libs.chat.shapes.completion import Address, Detail, Message, Part, ToolCall
from libs.chat.shapes.responses import Item
from libs.chat.shapes.responses import Part as ResponsesPart
from libs.chat.surfaces.references import resolved
from libs.chat.surfaces.responses.tools import arguments_of
from libs.chat.surfaces.thoughts import Carried, opened
from libs.chat.surfaces.writer import SurfaceError, is_list_of_objects, text_of


def messages_of(given: str | list[Item] | None) -> list[Message]:
    """A request's input as a chat completion's messages. Raises SurfaceError."""
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    items = resolved(given) if isinstance(given, list) and is_list_of_objects(given) else []
    if not items:
        raise SurfaceError("`input` must be text or a list of at least one item.")
    messages: list[Message] = []
    thought, carried = "", Carried()
    for item in items:
        kind = item.get("type") or "message"
        if kind == "reasoning":
            thought += text_of(item.get("summary"))
            held = opened(item.get("encrypted_content")) or Carried()
            carried = Carried([*carried.details, *held.details], carried.calls | held.calls)
            continue
        if kind in ("function_call", "custom_tool_call"):
            arguments = item.get("arguments") if kind == "function_call" else arguments_of(item.get("input"))
            call: ToolCall = {
                "id": item.get("call_id"),
                "type": "function",
                "function": {"name": item.get("name"), "arguments": arguments or "{}"},
            }
            if str(item.get("call_id")) in carried.calls:
                call["extra_content"] = carried.calls[str(item.get("call_id"))]
            if messages and messages[-1].get("role") == "assistant":
                messages[-1].setdefault("tool_calls", []).append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind in ("function_call_output", "custom_tool_call_output"):
            content = _result(item.get("output"))
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        elif kind == "message":
            messages.append(_message_of(item))
        else:
            raise SurfaceError(f"an item of type {str(kind)[:50]!r} cannot be sent to this model.")
        if messages[-1]["role"] == "assistant":
            _think(messages[-1], thought, carried.details)
            thought, carried.details = "", []
    return messages


def _think(message: Message, thought: str, details: list[Detail]) -> None:
    if thought:
        message["reasoning_content"] = message.get("reasoning_content", "") + thought
    if details:
        message["reasoning_details"] = [*message.get("reasoning_details", ()), *details]


def _result(output: str | list[ResponsesPart] | None) -> str | list[Part]:
    """A tool's result: text, or a list of the parts that a message may have."""
    if isinstance(output, str):
        return output
    if output and is_list_of_objects(output):
        return [_part(part) for part in output]
    return to_json(output).decode()


def _message_of(item: Item) -> Message:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        raise SurfaceError("an item's `role` is `user`, `assistant`, `system` or `developer`.")
    role = "system" if role == "developer" else role
    if isinstance(content, str):
        return {"role": role, "content": content}
    if content is None or not is_list_of_objects(content):
        raise SurfaceError("an item's `content` is text or a list of parts.")
    parts = [_part(part) for part in content]
    if role == "user":
        return {"role": role, "content": parts}
    if any(part["type"] != "text" for part in parts):
        kinds = ", ".join(sorted({str(part.get("type"))[:50] for part in content}))
        raise SurfaceError(f"this model takes only text of the {role}, not {kinds}.")
    return {"role": role, "content": text_of(parts)}


def _part(part: ResponsesPart) -> Part:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text") or ""}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal") or ""}
    if kind == "input_image" and part.get("image_url"):
        image: Address = {"url": part["image_url"]}
        if part.get("detail"):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file" and part.get("file_data"):
        return {"type": "file", "file": {"filename": part.get("filename"), "file_data": part["file_data"]}}
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    raise SurfaceError(
        f"a part of type {str(kind)[:50]!r}, or one that only OpenAI keeps, cannot be sent to this model."
    )
