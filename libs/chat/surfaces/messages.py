"""Anthropic's Messages as clients speak it.

Source: the Anthropic API reference, "Messages" and "Streaming Messages".
"""

import secrets
from typing import Any

from pydantic_core import to_json

from libs.chat.surfaces.reasoning import BUDGETS, effort_of
from libs.chat.surfaces.thoughts import Carried, carried_by, details_of, for_claude, is_ours, opened
from libs.chat.surfaces.turns import Piece, Turns, pieces_of
from libs.chat.surfaces.writer import (
    SurfaceError,
    arguments_of,
    is_list_of_objects,
    name_of,
    named_event,
    reasoning_of,
    text_of,
)

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
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
THOUGHTS = ("thinking", "redacted_thinking")


def to_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The request as a chat completion.

    Raises:
        SurfaceError: it is not of the form that the reference gives.
    """
    if not isinstance(body.get("max_tokens"), int):
        raise SurfaceError("`max_tokens` is missing: the Messages API wants a whole number.")
    messages = body.get("messages")
    if not is_list_of_objects(messages) or not messages:
        raise SurfaceError("`messages` must be a list of at least one message.")
    chat: dict[str, Any] = {name: body[name] for name in _SAME if name in body}
    chat |= {"model": body.get("model"), "max_tokens": body["max_tokens"], "messages": []}
    if body.get("system"):
        chat["messages"].append({"role": "system", "content": _system(body["system"])})
    for message in messages:
        chat["messages"] += _turns(message)
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if is_list_of_objects(body.get("tools")) and body["tools"]:
        chat["tools"] = [_tool(tool) for tool in body["tools"]]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        named = {"type": "function", "function": {"name": choice.get("name")}}
        chat["tool_choice"] = {"auto": "auto", "any": "required", "none": "none"}.get(str(choice.get("type")), named)
        if choice.get("disable_parallel_tool_use"):
            chat["parallel_tool_calls"] = False
    user = (body.get("metadata") or {}).get("user_id") if isinstance(body.get("metadata"), dict) else None
    if isinstance(user, str):
        chat["user"] = user
    if tier := SERVICE_TIERS.get(str(body.get("service_tier"))):
        chat["service_tier"] = tier
    config = body.get("output_config") if isinstance(body.get("output_config"), dict) else {}
    assert isinstance(config, dict)
    if budget := budget_of_thought(body):
        chat |= {"reasoning_effort": effort_of(budget), "reasoning": {"max_tokens": budget}}
    elif isinstance(body.get("thinking"), dict) and body["thinking"].get("type") == "adaptive":
        chat["reasoning_effort"] = config.get("effort") or "high"
    form = config.get("format") or body.get("output_format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        schema = {"name": "answer", "schema": form.get("schema"), "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def budget_of_thought(body: dict[str, Any]) -> int | None:
    """The tokens of thought that the client gives; None where it gives none."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return None
    budget = thinking.get("budget_tokens")
    return budget if isinstance(budget, int) and budget > 0 else BUDGETS["low"]


def whole(answer: dict[str, Any], _body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion as a message."""
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content: list[dict[str, Any]] = []
    content += _thoughts(message)
    if text := text_of(message.get("content")) + str(message.get("refusal") or ""):
        content.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        if carried := carried_by(call):
            content.append(_thinking("", carried.sealed()))
        content.append({"type": "tool_use", "id": call.get("id"), "name": name_of(call), "input": arguments_of(call)})
    return {
        "id": _id(answer),
        "type": "message",
        "role": "assistant",
        "model": answer.get("model"),
        "content": content,
        "stop_reason": STOP_REASONS.get(choice.get("finish_reason") or "stop", "end_turn"),
        "stop_sequence": None,
        "usage": usage_json(answer.get("usage")),
    }


def _thoughts(message: dict[str, Any]) -> list[dict[str, Any]]:
    details, thought = details_of(message), reasoning_of(message)
    blocks = [_thinking(detail["text"], detail.get("signature")) for detail in details if detail.get("text")]
    carried = _not_claude_s(details)
    if (thought or carried) and not blocks:
        blocks = [_thinking(thought, carried.sealed() if carried else _signature(message))]
    return [*blocks, *({"type": "redacted_thinking", "data": data} for data in _redacted(message))]


def _thinking(text: str, signature: Any) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature or ""}


class MessagesWriter:
    """A stream of chat chunks as the events of a message: blocks that open, grow and close, one after the other."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._begun = False
        self._block = -1
        self._open: str | None = None
        self._turns = Turns()
        self._reason = "end_turn"

    def chunk(self, chunk: dict[str, Any]) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        out = self._begin(chunk)
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            for piece in pieces_of(choice.get("delta") or {}):
                out += "".join(map(self._write, self._turns.take(piece)))
            if choice.get("finish_reason"):
                self._reason = STOP_REASONS.get(choice["finish_reason"], "end_turn")
        return out

    def finish(self, tail: dict[str, Any] | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        out = self._begin(tail or {}) + "".join(map(self._write, self._turns.rest())) + self._close()
        delta = {"stop_reason": self._reason, "stop_sequence": None}
        out += named_event({"type": "message_delta", "delta": delta, "usage": usage_json((tail or {}).get("usage"))})
        return out + named_event({"type": "message_stop"})

    def _begin(self, chunk: dict[str, Any]) -> str:
        if self._begun:
            return ""
        self._begun = True
        message: dict[str, Any] = {
            "id": _id(chunk),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_json(None),
        }
        return named_event({"type": "message_start", "message": message})

    def _write(self, piece: Piece) -> str:
        kind, content = piece
        match kind:
            case "reasoning":
                return self._grow("thinking", _thinking("", None), content)
            case "details":
                return self._details({"reasoning_details": content})
            case "content" | "refusal":
                return self._grow("text", {"type": "text", "text": ""}, content)
            case _:
                return self._call(f"call {kind}", content)

    def _details(self, delta: dict[str, Any]) -> str:
        out = ""
        if (signature := _signature(delta)) and self._open == "thinking":
            out += self._sign(signature)
        if carried := _not_claude_s(details_of(delta)):
            if self._open != "thinking":
                out += self._close() + self._start("thinking", _thinking("", None))
            out += self._sign(carried.sealed())
        for data in _redacted(delta):
            out += self._close() + self._start("redacted", {"type": "redacted_thinking", "data": data})
        return out

    def _grow(self, kind: str, block: dict[str, Any], text: str) -> str:
        out = ""
        if self._open != kind:
            out = self._close() + self._start(kind, block)
        delta = {"type": f"{kind}_delta", kind: text}
        return out + named_event({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _call(self, kind: str, call: dict[str, Any]) -> str:
        out, function = "", call.get("function") or {}
        if self._open != kind:
            if carried := carried_by(call):
                out += self._close() + self._start("thinking", _thinking("", None)) + self._sign(carried.sealed())
            block: dict[str, Any] = {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": {},
            }
            out += self._close() + self._start(kind, block)
        if function.get("arguments"):
            delta = {"type": "input_json_delta", "partial_json": function["arguments"]}
            out += named_event({"type": "content_block_delta", "index": self._block, "delta": delta})
        return out

    def _sign(self, signature: str) -> str:
        delta = {"type": "signature_delta", "signature": signature}
        return named_event({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _start(self, kind: str, block: dict[str, Any]) -> str:
        self._block += 1
        self._open = kind
        return named_event({"type": "content_block_start", "index": self._block, "content_block": block})

    def _close(self) -> str:
        if self._open is None:
            return ""
        self._open = None
        return named_event({"type": "content_block_stop", "index": self._block})


def error_event(message: str, code: int, _sent: str) -> str:
    """An error after the first byte."""
    return named_event({"type": "error", "error": {"type": error_type(code), "message": message, "code": code}})


def error_type(code: int) -> str:
    """Anthropic's name of an HTTP status ("Errors")."""
    return {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
    }.get(code, "api_error")


def usage_json(usage: Any) -> dict[str, int]:
    """Counts as a message gives them: ``input_tokens`` without the cached ones."""
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details") or {}
    read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    return {
        "input_tokens": max(0, (usage.get("prompt_tokens") or 0) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.get("completion_tokens") or 0,
    }


def _turns(message: dict[str, Any]) -> list[dict[str, Any]]:
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        raise SurfaceError("a message's `role` is `user`, `assistant` or `system`.")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not is_list_of_objects(content):
        raise SurfaceError("a message's `content` is text or a list of blocks.")
    assert isinstance(content, list)
    if role == "system":
        return [{"role": role, "content": _system(content)}]
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


def _system(system: Any) -> Any:
    if isinstance(system, str):
        return system
    if not is_list_of_objects(system):
        raise SurfaceError("`system` is text or a list of text blocks.")
    return [_part(block) for block in system]


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(tool.get("input_schema"), dict):
        raise SurfaceError(
            f"the tool {str(tool.get('name'))[:50]!r} has no `input_schema`: Anthropic's own tools are known only to "
            "providers that speak its Messages API, and this model is at none of them."
        )
    function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function} | (
        {"cache_control": tool["cache_control"]} if "cache_control" in tool else {}
    )


def without_carried(body: dict[str, Any]) -> dict[str, Any]:
    """A request for a provider of Messages, without what came from another model and only we can read."""
    messages = body.get("messages")
    if not is_list_of_objects(messages) or not any(_carries(message) for message in messages or ()):
        return body
    assert isinstance(messages, list)
    kept = [
        {**message, "content": [block for block in message["content"] if not is_ours(block.get("signature"))]}
        if _carries(message)
        else message
        for message in messages
    ]
    return {**body, "messages": kept}


def _carries(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return is_list_of_objects(content) and any(is_ours(block.get("signature")) for block in content or ())


def _not_claude_s(details: list[dict[str, Any]]) -> Carried:
    """OpenAI's, which have an ID."""
    return Carried([detail for detail in details if detail.get("id")])


def _signature(message: dict[str, Any]) -> str:
    return next((str(detail["signature"]) for detail in details_of(message) if detail.get("signature")), "")


def _redacted(message: dict[str, Any]) -> list[Any]:
    return [detail["data"] for detail in for_claude(message) if detail.get("data")]


def _id(answer: dict[str, Any]) -> str:
    return f"msg_{answer.get('id') or secrets.token_hex(12)}"
