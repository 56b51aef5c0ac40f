"""Anthropic's Messages protocol, as its provider speaks it. Sans-I/O.

Source: the Anthropic API reference, "Messages", "Streaming Messages" and "Extended thinking".
"""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from contracts.usage import TokenUsage
from libs.chat.exact_json import encode
from libs.chat.providers.chunks import ChunkReader, choice, completion
from libs.chat.providers.conversation import conversation
from libs.chat.providers.protocol import (
    COMMON,
    Adapter,
    Addressed,
    Call,
    Outgoing,
    Parsed,
    ProtocolError,
    ProviderFailure,
    functions_of,
    left_out,
    limit_of,
    parse_event,
    parse_object,
    stops_of,
)
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.surfaces.messages import SERVICE_TIERS, STOP_REASONS, THOUGHTS, budget_of_thought
from libs.chat.surfaces.reasoning import BUDGETS, budget_of, effort_of
from libs.chat.surfaces.thoughts import for_claude
from libs.chat.surfaces.writer import arguments_of, image_url_of, inline_data, name_of, text_of
from libs.config.gateway import Provider

PATH = "/messages"
VERSION = "2023-06-01"
FINISH_REASONS = {reason: finish for finish, reason in reversed(STOP_REASONS.items())} | {
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
}
SAMPLING = ("temperature", "top_p", "top_k")
NOT_BESIDE_THOUGHT = ("temperature", "top_k")
"""Refused where the model thinks ("Extended thinking": compatibility)."""
LEAST_BUDGET = 1_024
"""Tokens of thought; less is refused ("Extended thinking")."""
_EFFORTS = {"minimal": "low"}
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
_TRANSLATED = COMMON | {*SAMPLING, "parallel_tool_calls", "stop"}
_TIERS = {theirs: ours for ours, theirs in SERVICE_TIERS.items()}
USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def build_request(chat: dict[str, Any], call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Anthropic.

    Cacheable are the ends of instructions and conversation, if the call is one of many, unless the client marked
    something.
    """
    system, messages = conversation(
        chat.get("messages") or (),
        instructed=lambda message: _blocks(message.get("content")),
        asked=lambda message: _blocks(message.get("content")),
        answered=_answer,
        resulted=_result,
    )
    limit = limit_of(chat) or call.cap_tokens or call.most_tokens
    request: dict[str, Any] = {
        "model": call.upstream_model,
        "max_tokens": limit,
        "stream": call.streamed,
        "messages": messages,
    }
    dropped = set(left_out(chat, _TRANSLATED))
    if tier := _TIERS.get(str(chat.get("service_tier"))):
        request["service_tier"] = tier
        dropped.discard("service_tier")
    request |= {name: chat[name] for name in SAMPLING if chat.get(name) is not None}
    if system:
        request["system"] = system
    if stops := stops_of(chat):
        request["stop_sequences"] = stops
    tools = [_tool(tool) for tool in functions_of(chat)]
    if tools:
        request["tools"] = tools
        request["tool_choice"] = _choice(chat)
    user = chat.get("safety_identifier") or chat.get("user")
    if user:
        request["metadata"] = {"user_id": user}
    if thought := thinking(chat, limit, provider):
        request |= thought
        dropped |= {name for name in NOT_BESIDE_THOUGHT if request.pop(name, None) is not None}
    elif chat.get("reasoning_effort") in BUDGETS:
        dropped.add("reasoning_effort")
    if schema := schema_of(chat):
        request["output_config"] = {**request.get("output_config", {}), "format": {"type": "json_schema", **schema}}
    elif asks_for_json(chat):
        dropped.add("response_format")
    if call.cache and not _marked(request):
        _mark(request)
    return Outgoing(PATH, to_json(request), tuple(sorted(dropped)))


def thinking(chat: Mapping[str, Any], limit: int, provider: Provider) -> dict[str, Any]:
    """How Claude is told to think; nothing where the client did not ask.

    Models from 4.6 on decide themselves how much ("Adaptive thinking"); older ones want a budget.
    """
    effort = str(chat.get("reasoning_effort"))
    if effort not in BUDGETS or not _may_think(chat, provider):
        return {}
    if provider.thinking == "adaptive":
        return {"thinking": ADAPTIVE, "output_config": {"effort": _EFFORTS.get(effort, effort)}}
    budget = max(budget_of(chat) or BUDGETS[effort], LEAST_BUDGET)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}} if limit > budget else {}


def _may_think(chat: Mapping[str, Any], provider: Provider) -> bool:
    """Thinking is refused beside a tool that must be called, and (with a budget) after calls whose thought is missing.

    Most clients of chat completions do not send thoughts back ("Extended thinking": preserving thinking blocks).
    """
    if chat.get("tools") and chat.get("tool_choice") not in (None, "auto", "none"):
        return False
    said = [message for message in chat.get("messages") or () if message.get("role") == "assistant"]
    if provider.thinking == "adaptive" or not said or not said[-1].get("tool_calls"):
        return True
    return any(for_claude(said[-1]))


def adapted(body: dict[str, Any], provider: Provider) -> dict[str, Any]:
    """A client's own message request; a budget of thought, where the model refuses one, becomes an effort.

    The client may not know which model it talks to: ``kilo-auto/*`` chooses for it.
    """
    budget = budget_of_thought(body) if provider.thinking == "adaptive" else None
    if budget is None:
        return body
    config = {"effort": effort_of(budget), **(body.get("output_config") or {})}
    return {**body, "thinking": ADAPTIVE, "output_config": config}


def schema_of(chat: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the answer must have, if one was asked for."""
    form = chat.get("response_format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    return {"schema": (form.get("json_schema") or {}).get("schema")}


def asks_for_json(chat: Mapping[str, Any]) -> bool:
    """JSON of any form was asked for, which Claude cannot be held to."""
    form = chat.get("response_format")
    return isinstance(form, dict) and form.get("type") == "json_object"


def authorize(key: str, url: str, _content: bytes) -> Addressed:
    """The key, and the version that this module speaks."""
    return Addressed(url, {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {}))


def parse_response(data: bytes, *, model: str, created_s: int) -> Parsed:
    """A message as a chat completion of this time. Raises ProtocolError."""
    found = parse_object(data)
    blocks = found.get("content")
    if not isinstance(blocks, list):
        raise ProtocolError("the answer has no content")
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            message["content"] = (message["content"] or "") + str(block.get("text") or "")
        elif kind == "thinking":
            message["reasoning_content"] = message.get("reasoning_content", "") + str(block.get("thinking") or "")
            message.setdefault("reasoning_details", []).append(_detail(block))
        elif kind == "redacted_thinking":
            message.setdefault("reasoning_details", []).append(_detail(block))
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": encode(block.get("input") or {})}
            call = {"id": block.get("id"), "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
    usage = parse_usage(found.get("usage"))
    answer = completion(
        found.get("id"),
        created_s=created_s,
        model=model,
        choices=[choice(message, _finish(found.get("stop_reason")))],
        usage=usage,
    )
    delivered = len(text_of(blocks).encode()) + len(message.get("reasoning_content", "").encode())
    return Parsed(answer, usage, delivered)


class MessagesReader(ChunkReader):
    """Reads a message's events as chat chunks."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._counts: dict[str, Any] = {}
        self._calls = -1
        self._thoughts = -1

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""
        return parse_usage(self._counts) if "output_tokens" in self._counts and self.finished else None

    def read(self, data: str) -> list[dict[str, Any]]:
        """See `libs.chat.providers.protocol.Reader`."""
        event = parse_event(data)
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._identify(message.get("id"))
                self._counts |= message.get("usage") or {}
                return [self._chunk({"role": "assistant", "content": ""})]
            case "content_block_start":
                return self._started(event.get("content_block") or {})
            case "content_block_delta":
                return self._grown(event.get("delta") or {})
            case "message_delta":
                self._counts |= {name: n for name, n in (event.get("usage") or {}).items() if n is not None}
                return [self._end(_finish((event.get("delta") or {}).get("stop_reason")))]
            case "message_stop":
                self.done = True
            case "error":
                raise ProviderFailure(event.get("error"))
            case None:
                raise ProtocolError("an event has no type")
        return []

    def _started(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        if block.get("type") == "tool_use":
            self._calls += 1
            return [self._call(self._calls, block.get("id"), block.get("name"))]
        if block.get("type") in THOUGHTS:
            self._thoughts += 1
        if block.get("type") == "redacted_thinking":
            return [self._chunk({"reasoning_details": [{**_detail(block), "index": self._thoughts}]})]
        return []

    def _grown(self, delta: dict[str, Any]) -> list[dict[str, Any]]:
        match delta.get("type"):
            case "text_delta":
                return [self._text("content", delta.get("text"))]
            case "thinking_delta":
                return [self._thought(delta.get("thinking"), self._thoughts)]
            case "signature_delta":
                signature = delta.get("signature")
                detail = {"type": "reasoning.text", "signature": signature, "index": self._thoughts}
                return [self._chunk({"reasoning_details": [detail]})]
            case "input_json_delta":
                return [self._arguments(self._calls, delta.get("partial_json"))]
        return []


def parse_usage(usage: Any, names: tuple[str, str, str, str] = USAGE) -> TokenUsage | None:
    """Anthropic, and AWS after it, count cached tokens beside those of the input; ours are part of it.

    Args:
        names: of the counts of fresh input, output, what was read from the cache, and what was written to it.
    """
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) or 0 for name in names]
    if usage.get(names[1]) is None or not all(isinstance(n, int) and n >= 0 for n in counts):
        return None
    fresh, output, read, written = counts
    return TokenUsage(
        input_tokens=fresh + read + written, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written
    )


def _answer(message: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for detail in for_claude(message):
        if detail.get("data"):
            blocks.append({"type": "redacted_thinking", "data": detail["data"]})
        else:
            thought = {"thinking": detail.get("text") or "", "signature": detail["signature"]}
            blocks.append({"type": "thinking", **thought})
    blocks += _blocks(message.get("content"))
    blocks += [
        {
            "type": "tool_use",
            "id": call.get("id"),
            "name": name_of(call),
            "input": arguments_of(call),
        }
        for call in message.get("tool_calls") or ()
    ]
    return blocks


def _result(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = _blocks(message.get("content"))
    return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content}]


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_block(part) for part in content or () if isinstance(part, dict)]


def _block(part: dict[str, Any]) -> dict[str, Any]:
    kept = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
    kind = part.get("type")
    if kind == "image_url":
        return {"type": "image", "source": _source(image_url_of(part)), **kept}
    if kind == "file":
        file = part.get("file") or {}
        title = {"title": file["filename"]} if file.get("filename") else {}
        return {"type": "document", "source": _source(str(file.get("file_data"))), **title, **kept}
    return {"type": "text", "text": str(part.get("text") or ""), **kept}


def _source(url: str) -> dict[str, Any]:
    inline = inline_data(url)
    if inline is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": inline[0], "data": inline[1]}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    found = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    if function.get("description"):
        found["description"] = function["description"]
    if "cache_control" in tool:
        found["cache_control"] = tool["cache_control"]
    return found


def _choice(chat: dict[str, Any]) -> dict[str, Any]:
    wanted = chat.get("tool_choice") or "auto"
    if isinstance(wanted, dict):
        found = {"type": "tool", "name": name_of(wanted)}
    else:
        found = {"type": {"required": "any", "none": "none"}.get(wanted, "auto")}
    if chat.get("parallel_tool_calls") is False and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return found


def _marked(request: dict[str, Any]) -> bool:
    blocks = [*request.get("system", ()), *request.get("tools", ())]
    blocks += [block for message in request["messages"] for block in message["content"]]
    return any("cache_control" in block for block in blocks)


def _mark(request: dict[str, Any]) -> None:
    for blocks in (request.get("system"), request["messages"][-1]["content"] if request["messages"] else None):
        if blocks and blocks[-1].get("type") in ("text", "image", "document", "tool_result"):
            blocks[-1]["cache_control"] = {"type": "ephemeral"}


def _detail(block: dict[str, Any]) -> dict[str, Any]:
    if block.get("type") == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block.get("data")}
    return {"type": "reasoning.text", "text": block.get("thinking"), "signature": block.get("signature")}


def _finish(reason: Any) -> str:
    return FINISH_REASONS.get(str(reason), "stop")


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model, created_s=call.created_s),
    reader=lambda call: MessagesReader(model=call.model, created_s=call.created_s),
    framing=ServerSentEvents,
    authorize=authorize,
    check=lambda key, base_url: authorize(key, base_url + "/models", b""),
    tool_call_ids="anthropic",
    content=frozenset({"image_url", "file"}),
)
