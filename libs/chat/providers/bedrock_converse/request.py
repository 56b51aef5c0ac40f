"""Chat completions' requests for AWS Bedrock's Converse. Sans-I/O.

Source: the Bedrock API reference, "Converse".
"""

from typing import cast
from urllib.parse import quote

from pydantic_core import to_json

from libs.chat.providers.anthropic_messages.request import asks_for_json, asks_for_schema, schema_of
from libs.chat.providers.anthropic_messages.thinking import NOT_BESIDE_THOUGHT, thinking
from libs.chat.providers.bedrock_converse.content import CACHE_POINT, blocks_of
from libs.chat.providers.conversation import conversation
from libs.chat.providers.fields import COMMON, functions_of, left_out, limit_of, named, stops_of
from libs.chat.providers.protocol import (
    Call,
    Outgoing,
)
from libs.chat.providers.tiers import FLEX
from libs.chat.shapes.completion import ChatRequest, Message
from libs.chat.shapes.completion import Tool as ChatTool
from libs.chat.shapes.completion import ToolChoice as ChatToolChoice
from libs.chat.shapes.converse import (
    Block,
    ConverseRequest,
    InferenceConfig,
    JsonSchema,
    Tool,
    ToolConfig,
    ToolResult,
    ToolSpec,
    ToolUse,
)
from libs.chat.surfaces.reasoning import BUDGETS
from libs.chat.surfaces.thoughts import for_claude
from libs.chat.surfaces.writer import arguments_of, name_of
from libs.config.providers import Provider

_CACHES_TOOLS = "anthropic."
"""In the IDs of models that take cache points among tools; Nova refuses them ("Prompt caching")."""
_SAMPLING = {"temperature": "temperature", "top_p": "topP"}
_TRANSLATED = COMMON | {*_SAMPLING, "stop", "top_k"}


def build_request(chat: ChatRequest, call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Converse. Raises SurfaceError for images and files by address."""
    dropped = set(left_out(chat, _TRANSLATED))
    system, turns = conversation(
        chat.get("messages") or (),
        instructed=lambda message: blocks_of(message.get("content")),
        asked=lambda message: blocks_of(message.get("content")),
        answered=_answer,
        resulted=_result,
    )
    request: ConverseRequest = {"messages": [{"role": role, "content": blocks} for role, blocks in turns]}
    if system:
        request["system"] = system
    limit = limit_of(chat) or call.cap_tokens or call.most_tokens
    if thought := thinking(chat, limit, provider):
        gone = {name for name in NOT_BESIDE_THOUGHT if chat.get(name) is not None}
        dropped |= gone
        chat = cast("ChatRequest", {name: value for name, value in chat.items() if name not in gone})
    elif chat.get("reasoning_effort") in BUDGETS:
        dropped.add("reasoning_effort")
    config: InferenceConfig = {"maxTokens": limit}
    config |= cast("InferenceConfig", named(chat, _SAMPLING))
    if stops := stops_of(chat):
        config["stopSequences"] = stops
    request["inferenceConfig"] = config
    if chat.get("service_tier") == FLEX:
        request["serviceTier"] = {"type": FLEX}
        dropped.discard("service_tier")
    more = {**thought, **({"top_k": chat["top_k"]} if chat.get("top_k") is not None else {})}
    if more:
        request["additionalModelRequestFields"] = more
    points: list[Tool] = [{"cachePoint": CACHE_POINT["cachePoint"]}] if _CACHES_TOOLS in call.upstream_model else []
    said = [blocks for _, blocks in turns]
    tools = [piece for tool in functions_of(chat) for piece in _tool(tool, points)]
    none = chat.get("tool_choice") == "none"
    if tools and (not none or _calls(said)):
        # Converse has no word for "none", and wants the tools wherever one was called before.
        request["toolConfig"] = {"tools": tools, **_choice(chat.get("tool_choice"))}
        dropped |= {"tool_choice"} if none else set()
    if asks_for_schema(chat):
        form: JsonSchema = {"schema": to_json(schema_of(chat)).decode(), "name": "answer"}
        request["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": form}}}
    elif asks_for_json(chat):
        dropped.add("response_format")
    if call.cache and not _marked([system, *said], tools):
        for blocks in (system, *said[-1:]):
            if blocks:
                blocks.append(CACHE_POINT)
    path = f"/model/{quote(call.upstream_model, safe='')}/{'converse-stream' if call.streamed else 'converse'}"
    return Outgoing(path, to_json(request), tuple(sorted(dropped)))


def _answer(message: Message) -> list[Block]:
    blocks: list[Block] = []
    for detail in for_claude(message):
        if detail.get("data"):
            blocks.append({"reasoningContent": {"redactedContent": detail["data"]}})
        else:
            text, signature = detail.get("text") or "", detail["signature"]
            blocks.append({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
    blocks += blocks_of(message.get("content"))
    for call in message.get("tool_calls") or ():
        use: ToolUse = {"toolUseId": call.get("id"), "name": name_of(call), "input": arguments_of(call)}
        blocks.append({"toolUse": use})
    return blocks


def _result(message: Message) -> list[Block]:
    """A cache point follows the result: in its content there is none (ToolResultContentBlock)."""
    blocks = blocks_of(message.get("content"))
    content = [block for block in blocks if block is not CACHE_POINT]
    result: ToolResult = {"toolUseId": message.get("tool_call_id"), "content": content or [{"text": ""}]}
    return [{"toolResult": result}, *([CACHE_POINT] if CACHE_POINT in blocks else [])]


def _tool(tool: ChatTool, points: list[Tool]) -> list[Tool]:
    function = tool["function"]
    schema = function.get("parameters") or {"type": "object"}
    found: ToolSpec = {"name": function.get("name"), "inputSchema": {"json": schema}}
    if function.get("description"):
        found["description"] = function["description"]
    return [{"toolSpec": found}, *(points if "cache_control" in tool else [])]


def _choice(wanted: str | ChatToolChoice | None) -> ToolConfig:
    if isinstance(wanted, dict):
        return {"toolChoice": {"tool": {"name": name_of(wanted)}}}
    return {"toolChoice": {"any": {}}} if wanted == "required" else {}


def _calls(said: list[list[Block]]) -> bool:
    return any("toolUse" in block or "toolResult" in block for blocks in said for block in blocks)


def _marked(said: list[list[Block]], tools: list[Tool]) -> bool:
    return any("cachePoint" in block for blocks in said for block in blocks) or any(
        "cachePoint" in tool for tool in tools
    )
