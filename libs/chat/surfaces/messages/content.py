"""Messages and their blocks as a chat completion has them. Pure.

Source: the Anthropic API reference, "Messages": content blocks.
"""

from pydantic_core import to_json

from libs.chat.shapes.completion import Detail, ExtraContent, File, FunctionCall, Message, Part, ToolCall
from libs.chat.shapes.messages import Block, Source, Turn
from libs.chat.surfaces.thoughts import opened
from libs.chat.surfaces.writer import (
    SurfaceError,
    is_list_of_objects,
    text_of,
)

THOUGHTS = ("thinking", "redacted_thinking")


def turns_of(message: Turn) -> list[Message]:
    """A message as a chat completion's, of which results of tools are their own. Raises SurfaceError."""
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        raise SurfaceError("a message's `role` is `user`, `assistant` or `system`.")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not is_list_of_objects(content):
        raise SurfaceError("a message's `content` is text or a list of blocks.")
    assert isinstance(content, list)
    if role == "system":
        return [{"role": role, "content": instructions_of(content)}]
    return _assistant(content) if role == "assistant" else _user(content)


def _assistant(content: list[Block]) -> list[Message]:
    message: Message = {"role": "assistant", "content": None}
    for block in content:
        if block.get("type") not in ("text", "tool_use", *THOUGHTS):
            raise _unknown(block)
    texts = [block for block in content if block.get("type") == "text"]
    if texts:
        message["content"] = _said(texts)
    thoughts = [block for block in content if block.get("type") in THOUGHTS]
    marks: dict[str, ExtraContent] = {}
    details: list[Detail] = []
    for block in thoughts:
        carried = opened(block.get("signature"))
        if carried is not None:
            marks |= carried.calls
            details += carried.details
        elif block["type"] == "thinking":
            text, signature = block.get("thinking"), block.get("signature")
            details.append({"type": "reasoning.text", "text": text, "signature": signature})
        else:
            details.append({"type": "reasoning.encrypted", "data": block.get("data")})
    if said := "".join(str(block.get("thinking") or "") for block in thoughts):
        message["reasoning_content"] = said
    if details:
        message["reasoning_details"] = details
    calls = [_call(block, marks) for block in content if block.get("type") == "tool_use"]
    if calls:
        message["tool_calls"] = calls
    return [message]


def _said(texts: list[Block]) -> str | list[Part]:
    """Text, and parts only where one of them is marked for the cache."""
    if any("cache_control" in block for block in texts):
        return [_part(block) for block in texts]
    return "".join(str(block.get("text") or "") for block in texts)


def _call(block: Block, marks: dict[str, ExtraContent]) -> ToolCall:
    arguments = to_json(block.get("input") or {}).decode()
    function: FunctionCall = {"name": block.get("name"), "arguments": arguments}
    call: ToolCall = {"id": block.get("id"), "type": "function", "function": function}
    if str(block.get("id")) in marks:
        call["extra_content"] = marks[str(block.get("id"))]
    return call


def _user(content: list[Block]) -> list[Message]:
    messages: list[Message] = [
        {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": _result(block)}
        for block in content
        if block.get("type") == "tool_result"
    ]
    rest = [_part(block) for block in content if block.get("type") != "tool_result"]
    if rest:
        messages.append({"role": "user", "content": rest})
    return messages


def _result(block: Block) -> str | list[Part]:
    content = _given(block)
    if "cache_control" not in block:
        return content
    parts: list[Part] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [*parts[:-1], {**parts[-1], "cache_control": block["cache_control"]}] if parts else parts


def _given(block: Block) -> str | list[Part]:
    content = block.get("content")
    if isinstance(content, list) and any(part.get("type") != "text" for part in content if isinstance(part, dict)):
        failed: list[Part] = [{"type": "text", "text": "Error:"}] if block.get("is_error") else []
        return [*failed, *(_part(part) for part in content if isinstance(part, dict))]
    text = text_of(content)
    return f"Error: {text}" if block.get("is_error") else text


def _part(block: Block) -> Part:
    part = _bare_part(block)
    if "cache_control" in block:
        part["cache_control"] = block["cache_control"]
    return part


def _bare_part(block: Block) -> Part:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block.get("text") or ""}
    source = block.get("source")
    if kind == "image" and isinstance(source, dict):
        return {"type": "image_url", "image_url": {"url": _url("image", source)}}
    if kind == "document" and isinstance(source, dict):
        if source.get("type") == "text":
            return {"type": "text", "text": source.get("data") or ""}
        if source.get("type") == "content" and _is_text(source.get("content")):
            return {"type": "text", "text": text_of(source["content"])}
        file: File = {"filename": block.get("title") or "document.pdf", "file_data": _url("document", source)}
        return {"type": "file", "file": file}
    raise _unknown(block)


def _unknown(block: Block) -> SurfaceError:
    return SurfaceError(f"a block of type {str(block.get('type'))[:50]!r} cannot be sent to this model.")


def _url(kind: str, source: Source) -> str:
    if source.get("type") == "base64" and source.get("data"):
        return f"data:{source.get('media_type')};base64,{source['data']}"
    if source.get("type") == "url" and source.get("url"):
        return str(source["url"])
    form = str(source.get("type"))[:50]
    raise SurfaceError(
        f"a block of type {kind!r} whose source is of type {form!r} or empty cannot be sent to this model."
    )


def _is_text(content: str | list[Block] | None) -> bool:
    if isinstance(content, list):
        return is_list_of_objects(content) and all(block.get("type") == "text" for block in content)
    return isinstance(content, str)


def instructions_of(system: str | list[Block]) -> str | list[Part]:
    """The instructions as a chat completion's content. Raises SurfaceError."""
    if isinstance(system, str):
        return system
    if not is_list_of_objects(system):
        raise SurfaceError("`system` is text or a list of text blocks.")
    return [_part(block) for block in system]
