"""Chat completions' requests for Anthropic's Messages. Sans-I/O.

Source: the Anthropic API reference, "Messages".
"""

from typing import cast
from urllib.parse import quote

from pydantic_core import to_json

from libs.chat.providers.anthropic_messages.thinking import NOT_BESIDE_THOUGHT, thinking
from libs.chat.providers.conversation import conversation
from libs.chat.providers.fields import COMMON, functions_of, left_out, limit_of, named, stops_of
from libs.chat.providers.protocol import (
    Call,
    Outgoing,
)
from libs.chat.shapes.completion import ChatRequest, JsonObject, Message, Part, Tool
from libs.chat.shapes.messages import Block, MessagesRequest, Source, ToolChoice
from libs.chat.shapes.messages import Tool as MessagesTool
from libs.chat.surfaces.messages.request import SERVICE_TIERS
from libs.chat.surfaces.reasoning import BUDGETS
from libs.chat.surfaces.thoughts import for_claude
from libs.chat.surfaces.writer import arguments_of, image_url_of, inline_data, name_of, parts_in
from libs.config.providers import Provider

PATH = "/messages"
VERTEX_VERSION = "vertex-2023-10-16"
SAMPLING = ("temperature", "top_p", "top_k")
_TRANSLATED = COMMON | {*SAMPLING, "parallel_tool_calls", "stop"}
_TIERS = {theirs: ours for ours, theirs in SERVICE_TIERS.items()}


def build_request(chat: ChatRequest, call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Anthropic.

    Cacheable are the ends of instructions and conversation, if the call is one of many, unless the client marked
    something.
    """
    system, turns = conversation(
        chat.get("messages") or (),
        instructed=lambda message: _blocks(message.get("content")),
        asked=lambda message: _blocks(message.get("content")),
        answered=_answer,
        resulted=_result,
    )
    limit = limit_of(chat) or call.cap_tokens or call.most_tokens
    request: MessagesRequest = {
        "model": call.upstream_model,
        "max_tokens": limit,
        "stream": call.streamed,
        "messages": [{"role": role, "content": blocks} for role, blocks in turns],
    }
    dropped = set(left_out(chat, _TRANSLATED))
    if tier := _TIERS.get(str(chat.get("service_tier"))):
        request["service_tier"] = tier
        dropped.discard("service_tier")
    request |= cast("MessagesRequest", named(chat, {name: name for name in SAMPLING}))
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
        gone = {name for name in NOT_BESIDE_THOUGHT if name in request}
        kept = {name: value for name, value in request.items() if name not in gone}
        request = cast("MessagesRequest", {**kept, **thought})
        dropped |= gone
    elif chat.get("reasoning_effort") in BUDGETS:
        dropped.add("reasoning_effort")
    if asks_for_schema(chat):
        config = request.get("output_config") or {}
        request["output_config"] = {**config, "format": {"type": "json_schema", "schema": schema_of(chat)}}
    elif asks_for_json(chat):
        dropped.add("response_format")
    said = [system, *(blocks for _, blocks in turns)]
    if call.cache and not _marked(said, tools):
        _mark(said)
    return outgoing(request, provider, tuple(sorted(dropped)))


def outgoing(request: MessagesRequest, provider: Provider, dropped: tuple[str, ...]) -> Outgoing:
    """Where a request goes. Vertex AI has model and streaming in the path, and the version in the body.

    Source: Google Cloud, "Request predictions with Claude models".
    """
    if provider.platform != "vertex":
        return Outgoing(PATH, to_json(request), dropped)
    model = quote(str(request["model"]), safe="@")
    method = "streamRawPredict" if request.get("stream") else "rawPredict"
    body = {name: value for name, value in request.items() if name != "model"}
    content = to_json(body | {"anthropic_version": VERTEX_VERSION})
    return Outgoing(f"/publishers/anthropic/models/{model}:{method}", content, dropped)


def asks_for_schema(chat: ChatRequest) -> bool:
    """JSON of a schema was asked for."""
    form = chat.get("response_format")
    return isinstance(form, dict) and form.get("type") == "json_schema"


def schema_of(chat: ChatRequest) -> JsonObject | None:
    """The JSON schema that the answer must have, if one was asked for."""
    form = chat.get("response_format")
    if not isinstance(form, dict):
        return None
    return (form.get("json_schema") or {}).get("schema")


def asks_for_json(chat: ChatRequest) -> bool:
    """JSON of any form was asked for, which Claude cannot be held to."""
    form = chat.get("response_format")
    return isinstance(form, dict) and form.get("type") == "json_object"


def _answer(message: Message) -> list[Block]:
    blocks: list[Block] = []
    for detail in for_claude(message):
        if detail.get("data"):
            blocks.append({"type": "redacted_thinking", "data": detail["data"]})
        else:
            text, signature = detail.get("text") or "", detail["signature"]
            blocks.append({"type": "thinking", "thinking": text, "signature": signature})
    blocks += _blocks(message.get("content"))
    for call in message.get("tool_calls") or ():
        blocks.append({"type": "tool_use", "id": call.get("id"), "name": name_of(call), "input": arguments_of(call)})
    return blocks


def _result(message: Message) -> list[Block]:
    """The mark of a part is the result's: what is in a result cannot be cached by itself ("Prompt caching")."""
    content = _blocks(message.get("content"))
    marks = [mark for block in content if (mark := block.pop("cache_control", None))]
    kept: Block = {"cache_control": marks[-1]} if marks else {}
    return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content, **kept}]


def _blocks(content: str | list[Part] | None) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_block(part) for part in parts_in(content)]


def _block(part: Part) -> Block:
    kept: Block = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
    kind = part.get("type")
    if kind == "image_url":
        return {"type": "image", "source": _source(image_url_of(part)), **kept}
    if kind == "file":
        file = part.get("file") or {}
        title: Block = {"title": name} if (name := file.get("filename")) else {}
        return {"type": "document", "source": _source(str(file.get("file_data"))), **title, **kept}
    return {"type": "text", "text": str(part.get("text") or ""), **kept}


def _source(url: str) -> Source:
    inline = inline_data(url)
    if inline is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": inline[0], "data": inline[1]}


def _tool(tool: Tool) -> MessagesTool:
    function = tool["function"]
    found: MessagesTool = {
        "name": function.get("name"),
        "input_schema": function.get("parameters") or {"type": "object"},
    }
    if function.get("description"):
        found["description"] = function["description"]
    if "cache_control" in tool:
        found["cache_control"] = tool["cache_control"]
    return found


def _choice(chat: ChatRequest) -> ToolChoice:
    wanted = chat.get("tool_choice") or "auto"
    if isinstance(wanted, dict):
        found: ToolChoice = {"type": "tool", "name": name_of(wanted)}
    else:
        found = {"type": {"required": "any", "none": "none"}.get(wanted, "auto")}
    if chat.get("parallel_tool_calls") is False and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return found


def _marked(said: list[list[Block]], tools: list[MessagesTool]) -> bool:
    return any("cache_control" in block for blocks in said for block in blocks) or any(
        "cache_control" in tool for tool in tools
    )


def _mark(said: list[list[Block]]) -> None:
    """The ends of instructions and conversation."""
    for blocks in (said[0], said[-1]):
        if blocks and blocks[-1].get("type") in ("text", "image", "document", "tool_result"):
            blocks[-1]["cache_control"] = {"type": "ephemeral"}
