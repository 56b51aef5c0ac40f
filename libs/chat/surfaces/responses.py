"""OpenAI's Responses as clients speak it, without the state that OpenAI keeps: every request says all.

Source: the OpenAI API reference, "Responses" and "Streaming events".
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from libs.chat.exact_json import decode
from libs.chat.surfaces.references import resolved
from libs.chat.surfaces.thoughts import Carried, add, carried_by, details_of, is_opaque, is_ours, opened
from libs.chat.surfaces.turns import Piece, Turns, pieces_of
from libs.chat.surfaces.writer import SurfaceError, is_list_of_objects, named_event, reasoning_of, text_of

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
_ECHOED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
)
_DEFAULTS: dict[str, Any] = {
    "metadata": {},
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
}


def to_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The request as a chat completion.

    Raises:
        SurfaceError: it is not of the form that the reference gives, or relies on what only OpenAI keeps.
    """
    for name in ("previous_response_id", "conversation", "prompt"):
        if body.get(name):
            raise SurfaceError(f"`{name}` is not kept here: send the whole conversation as `input`.")
    if body.get("background"):
        raise SurfaceError("`background` responses are not kept here.")
    chat: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    if body.get("max_output_tokens") is not None:
        chat["max_tokens"] = body["max_output_tokens"]
    chat["messages"] = []
    if body.get("instructions"):
        chat["messages"].append({"role": "system", "content": body["instructions"]})
    chat["messages"] += _input(body.get("input"))
    tools = body.get("tools") or []
    if not is_list_of_objects(tools):
        raise SurfaceError("`tools` must be a list of tools.")
    if tools:
        chat["tools"] = [_tool(tool) for tool in tools]
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
        kept = {name: form[name] for name in ("name", "description", "schema", "strict") if name in form}
        chat["response_format"] = {"type": "json_schema", "json_schema": kept}
    elif isinstance(form, dict) and form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}
    if isinstance(body.get("text"), dict) and body["text"].get("verbosity"):
        chat["verbosity"] = body["text"]["verbosity"]
    return chat


def whole(answer: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion as a response."""
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    output: list[dict[str, Any]] = []
    thought, carried = reasoning_of(message), Carried(details_of(message))
    if thought or carried:
        output.append(_reasoning(_new("rs"), thought, carried))
    for kind, text in (("message", text_of(message.get("content"))), ("refusal", str(message.get("refusal") or ""))):
        if text:
            output.append(_message(_new("msg"), _FORMS[kind].part(text)))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        if carried := carried_by(call):
            output.append(_reasoning(_new("rs"), "", carried))
        output.append(_call(_new("fc"), call.get("id"), function.get("name"), function.get("arguments") or ""))
    response = _response(answer, body, answer.get("model"))
    return _ended(response, output, choice.get("finish_reason"), answer.get("usage"))


@dataclass(frozen=True, slots=True)
class _Form:
    """A message's text in events: their name, the field of the last of them, and the message's part."""

    event: str
    field: str
    part: Callable[[str], dict[str, Any]]
    more: dict[str, Any]


class ResponsesWriter:
    """A stream of chat chunks as the events of a response: items that are added, grow and are done, one by one."""

    def __init__(self, model: str, body: dict[str, Any]) -> None:
        self._model = model
        self._body = body
        self._number = 0
        self._response: dict[str, Any] = {}
        self._output: list[dict[str, Any]] = []
        self._kind: str | None = None
        self._text: list[str] = []
        self._item: dict[str, Any] = {}
        self._reason: str | None = None
        self._carried = Carried()
        self._turns = Turns()

    def chunk(self, chunk: dict[str, Any]) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        out = self._begin(chunk)
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            for piece in pieces_of(choice.get("delta") or {}):
                out += "".join(map(self._write, self._turns.take(piece)))
            self._reason = choice.get("finish_reason") or self._reason
        return out

    def finish(self, tail: dict[str, Any] | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        out = self._begin(tail or {}) + "".join(map(self._write, self._turns.rest())) + self._close()
        response = _ended(self._response, self._output, self._reason, (tail or {}).get("usage"))
        return out + self._event(f"response.{response['status']}", response=response)

    def _begin(self, chunk: dict[str, Any]) -> str:
        if self._response:
            return ""
        self._response = _response(chunk, self._body, self._model)
        return self._event("response.created", response=self._response) + self._event(
            "response.in_progress", response=self._response
        )

    def _write(self, piece: Piece) -> str:
        kind, content = piece
        match kind:
            case "reasoning":
                return self._grow_thought(content)
            case "details":
                return self._keep(content)
            case "content":
                return self._grow_text("message", content)
            case "refusal":
                return self._grow_text("refusal", content)
            case _:
                return self._grow_call(f"call {kind}", content)

    def _grow_thought(self, text: str) -> str:
        out = ""
        if self._kind != "reasoning":
            out = self._open("reasoning", _reasoning(_new("rs"), ""))
        if not self._text:
            part = {"type": "summary_text", "text": ""}
            out += self._event("response.reasoning_summary_part.added", **self._position("summary_index"), part=part)
        self._text.append(text)
        return out + self._event("response.reasoning_summary_text.delta", **self._position("summary_index"), delta=text)

    def _keep(self, details: list[dict[str, Any]]) -> str:
        """What only the model can read belongs to the thought that is open, or is one without a text."""
        out = ""
        if self._kind != "reasoning":
            details = [detail for detail in details if is_opaque(detail)]
            out = self._open("reasoning", _reasoning(_new("rs"), "")) if details else ""
        add(self._carried.details, details)
        return out

    def _grow_text(self, kind: str, text: str) -> str:
        out, form = "", _FORMS[kind]
        if self._kind != kind:
            out = self._open(kind, _message(_new("msg"), None))
            out += self._event("response.content_part.added", **self._position("content_index"), part=form.part(""))
        self._text.append(text)
        return out + self._event(f"{form.event}.delta", **self._position("content_index"), delta=text, **form.more)

    def _grow_call(self, kind: str, call: dict[str, Any]) -> str:
        out, function = "", call.get("function") or {}
        if self._kind != kind:
            if carried := carried_by(call):
                out, self._carried = self._open("reasoning", _reasoning(_new("rs"), "")), carried
            out += self._open(kind, _call(_new("fc"), call.get("id"), function.get("name"), "", "in_progress"))
        if arguments := function.get("arguments"):
            self._text.append(arguments)
            out += self._event("response.function_call_arguments.delta", **self._position(), delta=arguments)
        return out

    def _open(self, kind: str, item: dict[str, Any]) -> str:
        out = self._close()
        self._kind, self._item, self._text = kind, item, []
        return out + self._event("response.output_item.added", output_index=len(self._output), item=item)

    def _close(self) -> str:
        if self._kind is None:
            return ""
        kind, item, text = self._kind, self._item, "".join(self._text)
        self._kind = None
        if kind in _FORMS:
            form, position = _FORMS[kind], self._position("content_index")
            part = form.part(text)
            out = self._event(f"{form.event}.done", **position, **{form.field: text}, **form.more)
            out += self._event("response.content_part.done", **position, part=part)
            item = _message(item["id"], part)
        elif kind == "reasoning":
            out = ""
            if text:
                position, part = self._position("summary_index"), {"type": "summary_text", "text": text}
                out = self._event("response.reasoning_summary_text.done", **position, text=text)
                out += self._event("response.reasoning_summary_part.done", **position, part=part)
            item = _reasoning(item["id"], text, self._carried)
            self._carried = Carried()
        else:
            out = self._event(
                "response.function_call_arguments.done", **self._position(), name=item["name"], arguments=text
            )
            item = _call(item["id"], item["call_id"], item["name"], text)
        out += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        return out

    def _position(self, inner: str | None = None) -> dict[str, Any]:
        position = {"item_id": self._item["id"], "output_index": len(self._output)}
        return position | ({inner: 0} if inner else {})

    def _event(self, kind: str, **content: Any) -> str:
        self._number += 1
        return named_event({"type": kind, "sequence_number": self._number - 1, **content})


def error_event(message: str, code: int, sent: str) -> str:
    """An error after the first byte, numbered after the events that were sent.

    The reference has its fields beside ``type``; OpenAI sends them under ``error``, and its SDKs raise only those.
    """
    fields = {"code": str(code), "message": message, "param": None}
    kind = "server_error" if code >= 500 else "invalid_request_error"
    number = _last_number(sent) + 1
    return named_event({"type": "error", **fields, "error": {"type": kind, **fields}, "sequence_number": number})


def _last_number(sent: str) -> int:
    """The sequence number of the last of some events; -1 where there is none."""
    _, _, data = sent.rpartition("\ndata: ")
    try:
        event = decode(data)
    except ValueError:
        return -1
    number = event.get("sequence_number") if isinstance(event, dict) else None
    return number if isinstance(number, int) else -1


def usage_json(usage: Any) -> dict[str, Any] | None:
    """Counts as a response gives them."""
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": usage.get("prompt_tokens") or 0,
        "input_tokens_details": {"cached_tokens": read.get("cached_tokens") or 0},
        "output_tokens": usage.get("completion_tokens") or 0,
        "output_tokens_details": {"reasoning_tokens": written.get("reasoning_tokens") or 0},
        "total_tokens": (usage.get("prompt_tokens") or 0) + (usage.get("completion_tokens") or 0),
    }


def _input(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    items = resolved(given) if is_list_of_objects(given) else []
    if not items:
        raise SurfaceError("`input` must be text or a list of at least one item.")
    messages: list[dict[str, Any]] = []
    thought, carried = "", Carried()
    for item in items:
        kind = item.get("type") or "message"
        if kind == "reasoning":
            thought += text_of(item.get("summary"))
            held = opened(item.get("encrypted_content")) or Carried()
            carried = Carried([*carried.details, *held.details], carried.calls | held.calls)
            continue
        if kind == "function_call":
            call = {
                "id": item.get("call_id"),
                "type": "function",
                "function": {"name": item.get("name"), "arguments": item.get("arguments") or "{}"},
            }
            if str(item.get("call_id")) in carried.calls:
                call["extra_content"] = carried.calls[str(item.get("call_id"))]
            last = messages[-1] if messages else {}
            if last.get("role") == "assistant":
                last.setdefault("tool_calls", []).append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            content = _output(item.get("output"))
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        elif kind == "message":
            messages.append(_message_of(item))
        else:
            raise SurfaceError(f"an item of type {str(kind)[:50]!r} cannot be sent to this model.")
        if messages[-1]["role"] == "assistant":
            _think(messages[-1], thought, carried.details)
            thought, carried.details = "", []
    return messages


def _think(message: dict[str, Any], thought: str, details: list[dict[str, Any]]) -> None:
    if thought:
        message["reasoning_content"] = message.get("reasoning_content", "") + thought
    if details:
        message["reasoning_details"] = [*message.get("reasoning_details", ()), *details]


def _output(output: Any) -> Any:
    """A tool's result: text, or a list of the parts that a message may have."""
    if isinstance(output, str):
        return output
    if is_list_of_objects(output) and output:
        return [_part(part) for part in output]
    return to_json(output).decode()


def without_carried(body: dict[str, Any]) -> dict[str, Any]:
    """A request for a provider of Responses, without what came from another model and only we can read."""
    given = body.get("input")
    if not is_list_of_objects(given) or not any(is_ours(item.get("encrypted_content")) for item in given or ()):
        return body
    return {**body, "input": [item for item in given or () if not is_ours(item.get("encrypted_content"))]}


def _message_of(item: dict[str, Any]) -> dict[str, Any]:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        raise SurfaceError("an item's `role` is `user`, `assistant`, `system` or `developer`.")
    role = "system" if role == "developer" else role
    if isinstance(content, str):
        return {"role": role, "content": content}
    if not is_list_of_objects(content):
        raise SurfaceError("an item's `content` is text or a list of parts.")
    assert isinstance(content, list)
    parts = [_part(part) for part in content]
    if role == "user":
        return {"role": role, "content": parts}
    if any(part["type"] != "text" for part in parts):
        kinds = ", ".join(sorted({str(part.get("type"))[:50] for part in content}))
        raise SurfaceError(f"this model takes only text of the {role}, not {kinds}.")
    return {"role": role, "content": text_of(parts)}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text") or ""}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal") or ""}
    if kind == "input_image" and part.get("image_url"):
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file" and part.get("file_data"):
        return {"type": "file", "file": {"filename": part.get("filename"), "file_data": part["file_data"]}}
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    raise SurfaceError(
        f"a part of type {str(kind)[:50]!r}, or one that only OpenAI keeps, cannot be sent to this model."
    )


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise SurfaceError(
            f"tools of type {str(tool.get('type'))[:50]!r} are OpenAI's own; only `function` tools are here."
        )
    kept = {name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": kept}


def _response(answer: dict[str, Any], body: dict[str, Any], model: Any) -> dict[str, Any]:
    echoed = {name: body.get(name, _DEFAULTS.get(name)) for name in _ECHOED}
    return {
        "id": f"resp_{answer.get('id') or secrets.token_hex(12)}",
        "object": "response",
        "created_at": answer.get("created") or 0,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        **echoed,
    }


def _ended(response: dict[str, Any], output: list[dict[str, Any]], reason: Any, usage: Any) -> dict[str, Any]:
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(str(reason))
    return {
        **response,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": usage_json(usage),
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def _message(item_id: str, part: dict[str, Any] | None) -> dict[str, Any]:
    status, content = ("completed", [part]) if part else ("in_progress", [])
    return {"type": "message", "id": item_id, "status": status, "role": "assistant", "content": content}


_FORMS = {
    "message": _Form("response.output_text", "text", _text_part, {"logprobs": []}),
    "refusal": _Form("response.refusal", "refusal", _refusal_part, {}),
}


def _reasoning(item_id: str, text: str, carried: Carried | None = None) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    sealed = {"encrypted_content": carried.sealed()} if carried else {}
    return {"type": "reasoning", "id": item_id, "summary": summary, **sealed}


def _call(item_id: str, call_id: Any, name: Any, arguments: str, status: str = "completed") -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def _new(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
