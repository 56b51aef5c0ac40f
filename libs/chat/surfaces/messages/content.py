"""Messages and their blocks as a chat completion has them. Pure.

Source: the Anthropic API reference, "Messages": content blocks.
"""

from typing import Any

from pydantic_core import to_json

from libs.chat.surfaces.thoughts import opened
from libs.chat.surfaces.writer import (
    SurfaceError,
    is_list_of_objects,
    text_of,
)

THOUGHTS = ("thinking", "redacted_thinking")


def turns_of(message: dict[str, Any]) -> list[dict[str, Any]]:
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


def _assistant(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for block in content:
        if block.get("type") not in ("text", "tool_use", *THOUGHTS):
            raise _unknown(block)
    texts = [block for block in content if block.get("type") == "text"]
    if texts:
        message["content"] = "".join(str(block.get("text") or "") for block in texts)
    thoughts = [block for block in content if block.get("type") in THOUGHTS]
    marks: dict[str, Any] = {}
    details: list[dict[str, Any]] = []
    for block in thoughts:
        carried = opened(block.get("signature"))
        if carried is not None:
            marks |= carried.calls
            details += carried.details
        elif block["type"] == "thinking":
            thought = {"text": block.get("thinking"), "signature": block.get("signature")}
            details.append({"type": "reasoning.text", **thought})
        else:
            details.append({"type": "reasoning.encrypted", "data": block.get("data")})
    if said := "".join(str(block.get("thinking") or "") for block in thoughts):
        message["reasoning_content"] = said
    if details:
        message["reasoning_details"] = details
    calls = [
        {
            "id": block.get("id"),
            "type": "function",
            "function": {"name": block.get("name"), "arguments": to_json(block.get("input") or {}).decode()},
            **({"extra_content": marks[str(block.get("id"))]} if str(block.get("id")) in marks else {}),
        }
        for block in content
        if block.get("type") == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
    return [message]


def _user(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": _result(block)}
        for block in content
        if block.get("type") == "tool_result"
    ]
    rest = [_part(block) for block in content if block.get("type") != "tool_result"]
    if rest:
        messages.append({"role": "user", "content": rest})
    return messages


def _result(block: dict[str, Any]) -> Any:
    content = block.get("content")
    if isinstance(content, list) and any(part.get("type") != "text" for part in content if isinstance(part, dict)):
        failed = [{"type": "text", "text": "Error:"}] if block.get("is_error") else []
        return [*failed, *(_part(part) for part in content if isinstance(part, dict))]
    text = text_of(content)
    return f"Error: {text}" if block.get("is_error") else text


def _part(block: dict[str, Any]) -> dict[str, Any]:
    kind = block.get("type")
    kept = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    if kind == "text":
        return {"type": "text", "text": block.get("text") or "", **kept}
    source = block.get("source")
    if kind == "image" and isinstance(source, dict):
        return {"type": "image_url", "image_url": {"url": _url("image", source)}, **kept}
    if kind == "document" and isinstance(source, dict):
        if source.get("type") == "text":
            return {"type": "text", "text": source.get("data") or "", **kept}
        if source.get("type") == "content" and _is_text(source.get("content")):
            return {"type": "text", "text": text_of(source["content"]), **kept}
        file = {"filename": block.get("title") or "document.pdf", "file_data": _url("document", source)}
        return {"type": "file", "file": file, **kept}
    raise _unknown(block)


def _unknown(block: dict[str, Any]) -> SurfaceError:
    return SurfaceError(f"a block of type {str(block.get('type'))[:50]!r} cannot be sent to this model.")


def _url(kind: str, source: dict[str, Any]) -> str:
    if source.get("type") == "base64" and source.get("data"):
        return f"data:{source.get('media_type')};base64,{source['data']}"
    if source.get("type") == "url" and source.get("url"):
        return str(source["url"])
    form = str(source.get("type"))[:50]
    raise SurfaceError(
        f"a block of type {kind!r} whose source is of type {form!r} or empty cannot be sent to this model."
    )


def _is_text(content: Any) -> bool:
    return isinstance(content, str) or (
        is_list_of_objects(content) and all(block.get("type") == "text" for block in content)
    )


def instructions_of(system: Any) -> Any:
    if isinstance(system, str):
        return system
    if not is_list_of_objects(system):
        raise SurfaceError("`system` is text or a list of text blocks.")
    return [_part(block) for block in system]
