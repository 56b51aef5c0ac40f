"""OpenAI's Responses protocol, for models that have no other. Nothing is kept at the provider. Sans-I/O.

Source: the OpenAI API reference, "Responses" and "Streaming events"; "Reasoning models" for encrypted reasoning.
"""

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json

from contracts.usage import TokenUsage
from libs.chat.providers.chunks import ChunkReader, choice, completion
from libs.chat.providers.content import FILE_ID
from libs.chat.providers.openai_chat import text_bytes
from libs.chat.providers.protocol import (
    COMMON,
    Adapter,
    Call,
    Outgoing,
    Parsed,
    ProtocolError,
    ProviderFailure,
    ask_for_models,
    bearer,
    functions_of,
    left_out,
    limit_of,
    parse_event,
    parse_object,
)
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.surfaces.references import ENCRYPTED_REASONING
from libs.chat.surfaces.writer import name_of, text_of
from libs.config.gateway import Provider

PATH = "/responses"
_SAME = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "top_logprobs",
)
_FILE = ("filename", "file_data", FILE_ID)
_TRANSLATED = COMMON | {*_SAME, "verbosity"}
_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def build_request(chat: dict[str, Any], call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Responses."""
    request: dict[str, Any] = {
        "model": call.upstream_model,
        "input": [item for message in chat.get("messages") or () for item in _items(message)],
        "stream": call.streamed,
        "store": False,
    }
    if "reasoning" not in provider.unsupported:
        request["include"] = [ENCRYPTED_REASONING]
    request |= {name: chat[name] for name in _SAME if chat.get(name) is not None}
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


def parse_response(data: bytes, *, model: str) -> Parsed:
    """A response as a chat completion. Raises ProtocolError, ProviderFailure."""
    found = parse_object(data)
    if found.get("status") == "failed":
        raise ProviderFailure(found.get("error"))
    output = found.get("output")
    if not isinstance(output, list):
        raise ProtocolError("the answer has no output")
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for item in output:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message":
            for part in item.get("content") or ():
                name, text = ("refusal", "refusal") if part.get("type") == "refusal" else ("content", "text")
                message[name] = (message.get(name) or "") + str(part.get(text) or "")
        elif kind == "reasoning":
            message["reasoning_content"] = message.get("reasoning_content", "") + text_of(item.get("summary"))
            if item.get("encrypted_content"):
                message.setdefault("reasoning_details", []).append(_detail(item))
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
    usage = parse_usage(found.get("usage"))
    only = choice(message, _finish(found, incomplete=found.get("status") == "incomplete"))
    answer = completion(found.get("id"), created_s=found.get("created_at"), model=model, choices=[only], usage=usage)
    return Parsed(answer, usage, text_bytes(only, "message"))


class ResponsesReader(ChunkReader):
    """Reads a response's events as chat chunks."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._calls: dict[Any, int] = {}
        """Numbers of tool calls by their index in the output."""

    def read(self, data: str) -> list[dict[str, Any]]:
        """See `libs.chat.providers.protocol.Reader`."""
        event = parse_event(data)
        match event.get("type"):
            case "response.created":
                self._identify((event.get("response") or {}).get("id"))
                return [self._chunk({"role": "assistant", "content": ""})]
            case "response.output_text.delta":
                return [self._text("content", event.get("delta"))]
            case "response.refusal.delta":
                return [self._text("refusal", event.get("delta"))]
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [self._text("reasoning_content", event.get("delta"))]
            case "response.output_item.added":
                return self._added(event)
            case "response.function_call_arguments.delta":
                return [self._arguments(self._calls.get(event.get("output_index"), 0), event.get("delta"))]
            case "response.output_item.done":
                item = event.get("item") or {}
                if item.get("type") == "reasoning" and item.get("encrypted_content"):
                    return [self._chunk({"reasoning_details": [_detail(item)]})]
            case "response.completed" | "response.incomplete":
                response = event.get("response") or {}
                self._usage = parse_usage(response.get("usage"))
                self.done = True
                return [self._end(_finish(response, incomplete=event["type"] == "response.incomplete"))]
            case "response.failed":
                response = event.get("response") or {}
                self._usage = parse_usage(response.get("usage"))
                raise ProviderFailure(response.get("error"))
            case "error":
                # The reference has the message beside the type; OpenAI sends it under ``error``.
                raise ProviderFailure(event.get("error") or event)
            case None:
                raise ProtocolError("an event has no type")
        return []

    def _added(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        item = event.get("item") or {}
        if item.get("type") != "function_call":
            return []
        number = self._calls[event.get("output_index")] = len(self._calls)
        return [self._call(number, item.get("call_id"), item.get("name"))]


def parse_usage(usage: Any) -> TokenUsage | None:
    """The provider's counts; None where there are none or they make no sense."""
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    counts = (
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        read.get("cached_tokens") or 0,
        written.get("reasoning_tokens") or 0,
    )
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    given, output, cached, thought = counts
    return TokenUsage(
        input_tokens=given or 0, output_tokens=output or 0, cache_read_tokens=cached or 0, reasoning_tokens=thought or 0
    )


def _items(message: dict[str, Any]) -> Iterable[dict[str, Any]]:
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": _output(content)}
        return
    if role != "assistant":
        parts = [_part(part) for part in _parts(content)]
        yield {"type": "message", "role": role, "content": parts}
        return
    for detail in message.get("reasoning_details") or ():
        if detail.get("type") == "reasoning.encrypted" and detail.get("id"):
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


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content or () if isinstance(part, dict)]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    if kind == "file":
        file = part.get("file") or {}
        return {"type": "input_file"} | {name: file[name] for name in _FILE if file.get(name)}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    return {"type": "input_text", "text": str(part.get("text") or "")}


def _output(content: Any) -> Any:
    if isinstance(content, list) and any(part.get("type") != "text" for part in content if isinstance(part, dict)):
        return [_part(part) for part in _parts(content)]
    return text_of(content)


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    kept = {name: function[name] for name in ("name", "description", "parameters") if function.get(name) is not None}
    # Here a tool is strict unless it says otherwise; in chat completions it is the other way round.
    return {"type": "function", "strict": bool(function.get("strict")), **kept}


def _choice(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "name": name_of(wanted)}


def _form(form: Any) -> dict[str, Any]:
    if not isinstance(form, dict):
        return {}
    if form.get("type") == "json_schema":
        return {"format": {"type": "json_schema", **(form.get("json_schema") or {})}}
    return {"format": {"type": form["type"]}} if form.get("type") == "json_object" else {}


def _detail(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "id": item.get("id"), "data": item["encrypted_content"]}


def _finish(response: dict[str, Any], *, incomplete: bool) -> str:
    reason = (response.get("incomplete_details") or {}).get("reason")
    return _FINISH_REASONS.get(str(reason)) or ("length" if incomplete else "stop")


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model),
    reader=lambda call: ResponsesReader(model=call.model, created_s=call.created_s),
    framing=ServerSentEvents,
    authorize=bearer,
    check=ask_for_models,
    content=frozenset({"image_url", "file", FILE_ID, "input_audio"}),
)
