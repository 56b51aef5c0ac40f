"""Chat completions' requests for Google's Gemini. Sans-I/O.

Source: the Gemini API reference, "Generating content", "Function calling" and "Thought signatures".
"""

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote

from pydantic_core import to_json

from libs.chat.providers.conversation import conversation
from libs.chat.providers.fields import COMMON, functions_of, left_out, limit_of, named, stops_of
from libs.chat.providers.gemini.content import part_of, parts_of
from libs.chat.providers.gemini.thinking import signs, thinking
from libs.chat.providers.protocol import Call, Outgoing
from libs.chat.providers.tiers import FLEX
from libs.chat.shapes.completion import ChatRequest, Message, ResponseFormat, Tool, ToolCall, ToolChoice
from libs.chat.shapes.gemini import (
    Calling,
    Content,
    Function,
    FunctionCall,
    FunctionResponse,
    GeminiRequest,
    GenerationConfig,
    Part,
)
from libs.chat.surfaces.writer import arguments_of, name_of, text_of
from libs.config.providers import Provider

UNSIGNED = "skip_thought_signature_validator"
"""Stands for the signature of a call that another model made, or whose client lost it ("Thought signatures")."""
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_ROLES = {"user": "user", "assistant": "model"}
_TRANSLATED = COMMON | {*_CONFIG, "stop"}


def build_request(chat: ChatRequest, call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Gemini."""
    system, contents = _contents(chat.get("messages") or (), signed=signs(call.upstream_model))
    request: GeminiRequest = {"contents": contents}
    if system:
        request["systemInstruction"] = {"parts": system}
    functions = [_function(tool) for tool in functions_of(chat)]
    if functions:
        request["tools"] = [{"functionDeclarations": functions}]
        request["toolConfig"] = {"functionCallingConfig": _calling(chat.get("tool_choice"))}
    config = cast("GenerationConfig", named(chat, _CONFIG))
    limit = limit_of(chat) or call.cap_tokens
    if limit:
        config["maxOutputTokens"] = limit
    if stops := stops_of(chat):
        config["stopSequences"] = stops
    config |= {**_form(chat.get("response_format")), **thinking(chat, call.upstream_model)}
    if config:
        request["generationConfig"] = config
    dropped = left_out(chat, _TRANSLATED)
    if chat.get("service_tier") == FLEX and provider.may_have_flex:
        request["service_tier"] = FLEX
        dropped = left_out(chat, {*_TRANSLATED, "service_tier"})
    method = "streamGenerateContent?alt=sse" if call.streamed else "generateContent"
    publisher = "/publishers/google" if provider.platform == "vertex" else ""
    path = f"{publisher}/models/{quote(call.upstream_model, safe='')}:{method}"
    return Outgoing(path, to_json(request), dropped)


def _contents(given: Sequence[Message], *, signed: bool) -> tuple[list[Part], list[Content]]:
    """The instructions' parts, and the conversation."""
    names = {call.get("id"): name_of(call) for message in given for call in message.get("tool_calls") or ()}
    system, turns = conversation(
        given,
        instructed=_instructions,
        asked=lambda message: parts_of(message.get("content")),
        answered=lambda message: _answer(message, signed=signed),
        resulted=lambda message: _result(message, names),
    )
    return system, [{"role": _ROLES[role], "parts": parts} for role, parts in turns]


def _instructions(message: Message) -> list[Part]:
    return [{"text": text_of(message.get("content"))}]


def _answer(message: Message, *, signed: bool) -> list[Part]:
    parts = parts_of(message.get("content"))
    signature = _signature(message)
    if signature and parts:
        parts[-1]["thoughtSignature"] = signature
    for number, call in enumerate(message.get("tool_calls") or ()):
        asked: FunctionCall = {"id": call.get("id"), "name": name_of(call), "args": arguments_of(call)}
        part: Part = {"functionCall": asked}
        # Only the first of parallel calls bears one.
        mark = _signature(call) or (UNSIGNED if signed and number == 0 else None)
        if mark:
            part["thoughtSignature"] = mark
        parts.append(part)
    return parts


def _result(message: Message, names: Mapping[str | None, str | None]) -> list[Part]:
    content = message.get("content")
    call_id = message.get("tool_call_id")
    name = names.get(call_id) or "tool"
    response: FunctionResponse = {"id": call_id, "name": name, "response": {"result": text_of(content)}}
    images = [part for part in content if part.get("type") != "text"] if isinstance(content, list) else []
    return [{"functionResponse": response}, *(part_of(image) for image in images)]


def _function(tool: Tool) -> Function:
    function = tool["function"]
    found: Function = {"name": function.get("name")}
    if function.get("description"):
        found["description"] = function["description"]
    if function.get("parameters"):
        found["parametersJsonSchema"] = function["parameters"]
    return found


def _calling(choice: str | ToolChoice | None) -> Calling:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [name_of(choice)]}
    return {"mode": {"required": "ANY", "none": "NONE"}.get(str(choice), "AUTO")}


def _form(form: ResponseFormat | None) -> GenerationConfig:
    if not isinstance(form, dict) or form.get("type") not in ("json_schema", "json_object"):
        return {}
    schema = (form.get("json_schema") or {}).get("schema")
    found: GenerationConfig = {"responseMimeType": "application/json"}
    return {**found, "responseJsonSchema": schema} if schema else found


def _signature(holder: Message | ToolCall) -> str | None:
    google = (holder.get("extra_content") or {}).get("google")
    return google.get("thought_signature") if isinstance(google, dict) else None
