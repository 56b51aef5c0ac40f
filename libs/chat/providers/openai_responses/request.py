"""Chat completions' requests for OpenAI's Responses. Nothing is kept at the provider. Sans-I/O.

Source: the OpenAI API reference, "Responses"; "Reasoning models" for encrypted reasoning.
"""

from collections.abc import Iterable
from typing import cast

from pydantic_core import to_json

from libs.chat.providers.content import FILE_ID
from libs.chat.providers.fields import COMMON, functions_of, left_out, limit_of, named
from libs.chat.providers.protocol import (
    Call,
    Outgoing,
)
from libs.chat.shapes.completion import ChatRequest, Function, Message, ResponseFormat, ToolChoice
from libs.chat.shapes.completion import Part as ChatPart
from libs.chat.shapes.responses import Item, Part, ResponsesRequest, Text, Tool
from libs.chat.shapes.responses import ToolChoice as ResponsesToolChoice
from libs.chat.surfaces.references import ENCRYPTED_REASONING
from libs.chat.surfaces.writer import name_of, parts_in, text_of
from libs.config.providers import Provider

PATH = "/responses"
_SAME = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
)
_TOOL = ("name", "description", "parameters")
_FILE = ("filename", "file_data", FILE_ID)
_TRANSLATED = COMMON | {*_SAME, "verbosity"}


def build_request(chat: ChatRequest, call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Responses."""
    reasons = "reasoning" not in provider.unsupported
    request: ResponsesRequest = {
        "model": call.upstream_model,
        "input": [item for message in chat.get("messages") or () for item in _items(message, reasons=reasons)],
        "stream": call.streamed,
        "store": False,
    }
    if reasons:
        request["include"] = [ENCRYPTED_REASONING]
    request |= cast("ResponsesRequest", named(chat, {name: name for name in _SAME}))
    limit = limit_of(chat) or call.cap_tokens
    if limit:
        request["max_output_tokens"] = limit
    tools = [_tool(tool["function"]) for tool in functions_of(chat)]
    if tools:
        request["tools"] = tools
    wanted = chat.get("tool_choice")
    if wanted:
        request["tool_choice"] = _choice(wanted) if isinstance(wanted, dict) else wanted
    if chat.get("reasoning_effort"):
        request["reasoning"] = {"effort": chat["reasoning_effort"], "summary": "auto"}
    text = _form(chat.get("response_format"))
    if chat.get("verbosity"):
        text["verbosity"] = chat["verbosity"]
    if text:
        request["text"] = text
    return Outgoing(PATH, to_json(request), left_out(chat, _TRANSLATED))


def _items(message: Message, *, reasons: bool) -> Iterable[Item]:
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": _output(content)}
        return
    if role != "assistant":
        parts = [_part(part) for part in _parts(content)]
        yield {"type": "message", "role": role, "content": parts}
        return
    for detail in message.get("reasoning_details") or ():
        if reasons and detail.get("type") == "reasoning.encrypted" and detail.get("id"):
            yield {"type": "reasoning", "id": detail["id"], "summary": [], "encrypted_content": detail.get("data")}
    text = text_of(content)
    if text:
        yield {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield {
            "type": "function_call",
            "call_id": call.get("id"),
            "name": function.get("name"),
            "arguments": function.get("arguments") or "{}",
        }


def _parts(content: str | list[ChatPart] | None) -> list[ChatPart]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return parts_in(content)


def _part(part: ChatPart) -> Part:
    kind = part.get("type")
    if kind == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    if kind == "file":
        file = part.get("file") or {}
        kept = {name: value for name, value in file.items() if name in _FILE and value}
        return cast("Part", {"type": "input_file", **kept})
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio") or {}}
    return {"type": "input_text", "text": str(part.get("text") or "")}


def _output(content: str | list[ChatPart] | None) -> str | list[Part]:
    if isinstance(content, list) and any(part.get("type") != "text" for part in content if isinstance(part, dict)):
        return [_part(part) for part in _parts(content)]
    return text_of(content)


def _tool(function: Function) -> Tool:
    kept = {name: value for name, value in function.items() if name in _TOOL and value is not None}
    # Here a tool is strict unless it says otherwise; in chat completions it is the other way round.
    return cast("Tool", {"type": "function", "strict": bool(function.get("strict")), **kept})


def _choice(wanted: ToolChoice) -> ResponsesToolChoice:
    return {"type": "function", "name": name_of(wanted)}


def _form(form: ResponseFormat | None) -> Text:
    if not isinstance(form, dict):
        return {}
    if form.get("type") == "json_schema":
        return {"format": {"type": "json_schema", **(form.get("json_schema") or {})}}
    return {"format": {"type": form["type"]}} if form.get("type") == "json_object" else {}
