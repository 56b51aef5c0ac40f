"""Whole answers of OpenAI's Responses, and their items. Pure.

Source: the OpenAI API reference, "Responses".
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from libs.chat.shapes.completion import Chunk, Completion, JsonObject
from libs.chat.shapes.completion import Usage as ChatUsage
from libs.chat.shapes.responses import Item, Part, Response, ResponsesEvent, ResponsesRequest, Usage
from libs.chat.surfaces.responses.tools import custom_item, custom_names, input_of
from libs.chat.surfaces.thoughts import Carried, carried_by, details_of
from libs.chat.surfaces.writer import reasoning_of, text_of

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
_DEFAULTS: JsonObject = {
    "metadata": {},
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
}


def whole(answer: Completion, body: ResponsesRequest) -> Response:
    """A chat completion as a response."""
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    output: list[Item] = []
    thought, carried = reasoning_of(message), Carried(details_of(message))
    if thought or carried:
        output.append(reasoning_item(new_id("rs"), thought, carried))
    for kind, text in (("message", text_of(message.get("content"))), ("refusal", str(message.get("refusal") or ""))):
        if text:
            output.append(message_item(new_id("msg"), FORMS[kind].part(text)))
    custom = custom_names(body)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        if carried := carried_by(call):
            output.append(reasoning_item(new_id("rs"), "", carried))
        name, arguments = function.get("name"), function.get("arguments") or ""
        if name in custom:
            output.append(custom_item(new_id("ctc"), call.get("id"), name, input_of(arguments)))
        else:
            output.append(call_item(new_id("fc"), call.get("id"), name, arguments))
    response = begun_response(answer, body, answer.get("model"))
    return ended_response(response, output, choice.get("finish_reason"), answer.get("usage"))


@dataclass(frozen=True, slots=True)
class _Form:
    """A message's text in events: their name, the field of the last of them, and the message's part."""

    event: str
    field: str
    part: Callable[[str], Part]
    more: ResponsesEvent


def usage_json(usage: ChatUsage | None) -> Usage | None:
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


def begun_response(answer: Completion | Chunk, body: ResponsesRequest, model: str | None) -> Response:
    """A response without output yet, with what of the request it repeats."""
    echoed = {name: body.get(name, _DEFAULTS.get(name)) for name in _ECHOED}
    response: Response = {
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
    }
    return cast("Response", {**response, **echoed})


def ended_response(response: Response, output: list[Item], reason: str | None, usage: ChatUsage | None) -> Response:
    """The response with its output, usage and status."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(str(reason))
    return {
        **response,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": usage_json(usage),
    }


def _text_part(text: str) -> Part:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _refusal_part(text: str) -> Part:
    return {"type": "refusal", "refusal": text}


def message_item(item_id: str, part: Part | None) -> Item:
    """An item of text; without a part, one that has only begun."""
    status = "completed" if part else "in_progress"
    content = [part] if part else []
    return {"type": "message", "id": item_id, "status": status, "role": "assistant", "content": content}


FORMS = {
    "message": _Form("response.output_text", "text", _text_part, {"logprobs": []}),
    "refusal": _Form("response.refusal", "refusal", _refusal_part, {}),
}


def reasoning_item(item_id: str, text: str, carried: Carried | None = None) -> Item:
    """An item of thought, with what only the model can read."""
    summary: list[Part] = [{"type": "summary_text", "text": text}] if text else []
    item: Item = {"type": "reasoning", "id": item_id, "summary": summary}
    return {**item, "encrypted_content": carried.sealed()} if carried else item


def call_item(item_id: str, call_id: str | None, name: str | None, arguments: str, status: str = "completed") -> Item:
    """An item that calls a function."""
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def new_id(prefix: str) -> str:
    """A new ID of an item."""
    return f"{prefix}_{secrets.token_hex(12)}"
