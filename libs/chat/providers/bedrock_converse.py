"""AWS Bedrock's Converse protocol. Sans-I/O; signing and the framing of streams are botocore's.

Source: the Bedrock API reference, "Converse" and "ConverseStream"; AWS Signature Version 4; "Amazon event stream".
"""

from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer, ParserError
from pydantic_core import to_json

from libs.chat.exact_json import encode
from libs.chat.providers.anthropic_messages import (
    FINISH_REASONS,
    NOT_BESIDE_THOUGHT,
    asks_for_json,
    parse_usage,
    schema_of,
    thinking,
)
from libs.chat.providers.chunks import ChunkReader, choice, completion
from libs.chat.providers.conversation import conversation
from libs.chat.providers.openai_chat import text_bytes
from libs.chat.providers.protocol import (
    COMMON,
    EVENT_BYTES,
    Adapter,
    Addressed,
    Call,
    Outgoing,
    Parsed,
    ProtocolError,
    ProviderFailure,
    bearer,
    functions_of,
    left_out,
    limit_of,
    parse_event,
    parse_object,
    stops_of,
)
from libs.chat.surfaces.reasoning import BUDGETS
from libs.chat.surfaces.thoughts import for_claude
from libs.chat.surfaces.writer import SurfaceError, arguments_of, image_url_of, inline_data, name_of
from libs.config.gateway import Provider
from libs.provider_keys.key_forms import bedrock_access_key

REGION = "us-east-1"
"""Of a key that names none."""
_FINISH_REASONS = FINISH_REASONS | {
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "stop",
    "malformed_tool_use": "stop",
}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_VIDEOS = {"video/quicktime": "mov", "video/x-matroska": "mkv", "video/3gpp": "three_gp", "video/x-ms-wmv": "wmv"}
"""Where the format is not the media type's own name."""
_CACHE_POINT = {"cachePoint": {"type": "default"}}
_SAMPLING = {"temperature": "temperature", "top_p": "topP"}
_TRANSLATED = COMMON | {*_SAMPLING, "stop", "top_k"}
_USAGE = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")


def build_request(chat: dict[str, Any], call: Call, provider: Provider) -> Outgoing:
    """A chat completion's request for Converse. Raises SurfaceError for images and files by address."""
    dropped = set(left_out(chat, _TRANSLATED))
    system, messages = conversation(
        chat.get("messages") or (),
        instructed=lambda message: _blocks(message.get("content")),
        asked=lambda message: _blocks(message.get("content")),
        answered=_answer,
        resulted=_result,
    )
    request: dict[str, Any] = {"messages": messages}
    if system:
        request["system"] = system
    limit = limit_of(chat) or call.cap_tokens or call.most_tokens
    if thought := thinking(chat, limit, provider):
        gone = {name for name in NOT_BESIDE_THOUGHT if chat.get(name) is not None}
        dropped |= gone
        chat = {name: value for name, value in chat.items() if name not in gone}
    elif chat.get("reasoning_effort") in BUDGETS:
        dropped.add("reasoning_effort")
    config: dict[str, Any] = {"maxTokens": limit}
    config |= {theirs: chat[name] for name, theirs in _SAMPLING.items() if chat.get(name) is not None}
    if stops := stops_of(chat):
        config["stopSequences"] = stops
    request["inferenceConfig"] = config
    more = thought | ({"top_k": chat["top_k"]} if chat.get("top_k") is not None else {})
    if more:
        request["additionalModelRequestFields"] = more
    tools = [_tool(tool) for tool in functions_of(chat)]
    none = chat.get("tool_choice") == "none"
    if tools and (not none or _calls(messages)):
        # Converse has no word for "none", and wants the tools wherever one was called before.
        request["toolConfig"] = {"tools": tools, **_choice(chat.get("tool_choice"))}
        dropped |= {"tool_choice"} if none else set()
    if schema := schema_of(chat):
        form = {"schema": to_json(schema["schema"]).decode(), "name": "answer"}
        request["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": form}}}
    elif asks_for_json(chat):
        dropped.add("response_format")
    if call.cache and not _marked(request):
        for blocks in (request.get("system"), messages[-1]["content"] if messages else None):
            if blocks:
                blocks.append(_CACHE_POINT)
    path = f"/model/{quote(call.upstream_model, safe='')}/{'converse-stream' if call.streamed else 'converse'}"
    return Outgoing(path, to_json(request), tuple(sorted(dropped)))


def authorize(key: str, url: str, content: bytes) -> Addressed:
    """A Bedrock API key as a bearer token; an access key signs the request, for the region that it names."""
    return _signed(key, url, content, "POST")


def check(key: str, base_url: str) -> Addressed:
    """The list of foundation models, which another host has."""
    address = base_url.replace("//bedrock-runtime.", "//bedrock.") + "/foundation-models"
    return _signed(key, address, b"", "GET")


def _signed(key: str, url: str, content: bytes, method: str) -> Addressed:
    access = bedrock_access_key(key)
    region = access.region if access else REGION
    url = url.replace("{region}", region)
    if access is None:
        return bearer(key, url, content)
    request = AWSRequest(method=method, url=url, data=content, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(access.key_id, access.secret), "bedrock", region).add_auth(request)
    return Addressed(url, {name: request.headers[name] for name in ("Authorization", "X-Amz-Date")})


class EventStream:
    """Cuts ``application/vnd.amazon.eventstream`` into events: each the union that the reference gives, as JSON."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._waiting = 0
        """Bytes since the last event that was whole."""

    def feed(self, data: bytes) -> list[str]:
        """See `libs.chat.providers.protocol.Framing`."""
        self._waiting += len(data)
        self._buffer.add_data(data)
        found: list[str] = []
        try:
            for message in self._buffer:
                kind = message.headers.get(":event-type") or message.headers.get(":exception-type") or "error"
                found.append(f'{{"{kind}":{message.payload.decode() or "{}"}}}')
                self._waiting = 0
        except (ParserError, UnicodeDecodeError):
            raise ProtocolError("the stream is damaged") from None
        if self._waiting > EVENT_BYTES:
            raise ProtocolError("an event is larger than 8 MiB")
        return found


def parse_response(data: bytes, *, model: str, created_s: int) -> Parsed:
    """An answer as a chat completion of this time. Raises ProtocolError."""
    found = parse_object(data)
    blocks = ((found.get("output") or {}).get("message") or {}).get("content")
    if not isinstance(blocks, list):
        raise ProtocolError("the answer has no message")
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for block in blocks:
        if "text" in block:
            message["content"] = (message["content"] or "") + str(block["text"])
        elif "toolUse" in block:
            use = block["toolUse"]
            function = {"name": use.get("name"), "arguments": encode(use.get("input") or {})}
            call = {"id": use.get("toolUseId"), "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]
            text = (thought.get("reasoningText") or {}).get("text") or ""
            message["reasoning_content"] = message.get("reasoning_content", "") + text
            message.setdefault("reasoning_details", []).append(_detail(thought))
    usage = parse_usage(found.get("usage"), _USAGE)
    only = choice(message, _finish(found.get("stopReason")))
    answer = completion(None, created_s=created_s, model=model, choices=[only], usage=usage)
    return Parsed(answer, usage, text_bytes(only, "message"))


class ConverseReader(ChunkReader):
    """Reads Converse's events as chat chunks."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._calls = -1

    def read(self, data: str) -> list[dict[str, Any]]:
        """See `libs.chat.providers.protocol.Reader`."""
        for kind, content in parse_event(data).items():
            if not isinstance(content, dict):
                raise ProtocolError("an event has no content")
            match kind:
                case "messageStart":
                    return [self._chunk({"role": "assistant", "content": ""})]
                case "contentBlockStart":
                    return self._started((content.get("start") or {}).get("toolUse"))
                case "contentBlockDelta":
                    return self._grown(content.get("delta") or {}, content.get("contentBlockIndex") or 0)
                case "messageStop":
                    return [self._end(_finish(content.get("stopReason")))]
                case "metadata":
                    self._usage = parse_usage(content.get("usage"), _USAGE)
                    self.done = True
                case "contentBlockStop":
                    pass
                case _ if kind.endswith("Exception") or kind == "error":
                    raise ProviderFailure(content.get("message") or kind)
        return []

    def _started(self, use: Any) -> list[dict[str, Any]]:
        if not isinstance(use, dict):
            return []
        self._calls += 1
        return [self._call(self._calls, use.get("toolUseId"), use.get("name"))]

    def _grown(self, delta: dict[str, Any], index: int) -> list[dict[str, Any]]:
        if "text" in delta:
            return [self._text("content", delta["text"])]
        if "toolUse" in delta:
            return [self._arguments(self._calls, delta["toolUse"].get("input"))]
        thought = delta.get("reasoningContent")
        if not isinstance(thought, dict):
            return []
        if "text" in thought:
            return [self._thought(thought["text"], index)]
        if "signature" in thought:
            detail = {"type": "reasoning.text", "signature": thought["signature"]}
        else:
            detail = _detail(thought)
        return [self._chunk({"reasoning_details": [{**detail, "index": index}]})]


def _answer(message: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for detail in for_claude(message):
        if detail.get("data"):
            blocks.append({"reasoningContent": {"redactedContent": detail["data"]}})
        else:
            text = {"text": detail.get("text") or "", "signature": detail["signature"]}
            blocks.append({"reasoningContent": {"reasoningText": text}})
    blocks += _blocks(message.get("content"))
    for call in message.get("tool_calls") or ():
        use = {"toolUseId": call.get("id"), "name": name_of(call), "input": arguments_of(call)}
        blocks.append({"toolUse": use})
    return blocks


def _result(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = _blocks(message.get("content")) or [{"text": ""}]
    return [{"toolResult": {"toolUseId": message.get("tool_call_id"), "content": content}}]


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    found: list[dict[str, Any]] = []
    for part in content or ():
        if isinstance(part, dict):
            found.append(_block(part))
            if "cache_control" in part:
                found.append(_CACHE_POINT)
    return found


def _block(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        media_type, data = _bytes(image_url_of(part))
        return {"image": {"format": media_type.partition("/")[2].replace("jpg", "jpeg"), "source": {"bytes": data}}}
    if kind == "file":
        file = part.get("file") or {}
        media_type, data = _bytes(str(file.get("file_data")))
        name = "".join(one if one.isalnum() else " " for one in str(file.get("filename") or "document"))
        form = _DOCUMENTS.get(media_type, "txt")
        return {"document": {"format": form, "name": " ".join(name.split())[:200], "source": {"bytes": data}}}
    if kind == "video_url":
        media_type, data = _bytes(str((part.get("video_url") or {}).get("url")))
        form = _VIDEOS.get(media_type, media_type.partition("/")[2])
        return {"video": {"format": form, "source": {"bytes": data}}}
    return {"text": str(part.get("text") or "")}


def _bytes(url: str) -> tuple[str, str]:
    inline = inline_data(url)
    if inline is None or ";base64," not in url:
        raise SurfaceError("this model takes images and files as `data:` URLs in base64 only, not by address.")
    return inline


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    found = {"name": function.get("name"), "inputSchema": {"json": function.get("parameters") or {"type": "object"}}}
    if function.get("description"):
        found["description"] = function["description"]
    return {"toolSpec": found}


def _choice(wanted: Any) -> dict[str, Any]:
    if isinstance(wanted, dict):
        return {"toolChoice": {"tool": {"name": name_of(wanted)}}}
    return {"toolChoice": {"any": {}}} if wanted == "required" else {}


def _calls(messages: list[dict[str, Any]]) -> bool:
    return any("toolUse" in block or "toolResult" in block for message in messages for block in message["content"])


def _marked(request: dict[str, Any]) -> bool:
    blocks = [*request.get("system", ()), *(block for message in request["messages"] for block in message["content"])]
    return any("cachePoint" in block for block in blocks)


def _detail(thought: dict[str, Any]) -> dict[str, Any]:
    if "redactedContent" in thought:
        return {"type": "reasoning.encrypted", "data": thought["redactedContent"]}
    text = thought.get("reasoningText") or {}
    return {"type": "reasoning.text", "text": text.get("text") or "", "signature": text.get("signature")}


def _finish(reason: Any) -> str:
    return _FINISH_REASONS.get(str(reason), "stop")


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model, created_s=call.created_s),
    reader=lambda call: ConverseReader(model=call.model, created_s=call.created_s),
    framing=EventStream,
    authorize=authorize,
    check=check,
    tool_call_ids="anthropic",
    content=frozenset({"image_url", "file", "video_url"}),
)
