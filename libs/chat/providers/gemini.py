"""Google's Gemini protocol. Sans-I/O.

Source: the Gemini API reference, "Generating content", "Function calling", "Thinking" and "Thought signatures".
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json

from contracts.usage import TokenUsage
from libs.chat.exact_json import encode
from libs.chat.providers.chunks import ChunkReader, completion
from libs.chat.providers.conversation import conversation
from libs.chat.providers.openai_chat import finish_reason, text_bytes
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
from libs.chat.surfaces.reasoning import budget_of
from libs.chat.surfaces.writer import arguments_of, image_url_of, inline_data, name_of, text_of
from libs.config.gateway import Provider

UNSIGNED = "skip_thought_signature_validator"
"""Stands for the signature of a call that another model made, or whose client lost it ("Thought signatures")."""
_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "MALFORMED_FUNCTION_CALL": "stop", "OTHER": "stop"}
"""All others are kinds of refusal: SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, LANGUAGE, IMAGE_SAFETY."""
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_TRANSLATED = COMMON | {*_CONFIG, "stop"}


def build_request(chat: dict[str, Any], call: Call, _provider: Provider) -> Outgoing:
    """A chat completion's request for Gemini."""
    system, contents = _contents(chat.get("messages") or (), signed=_signs(call.upstream_model))
    request: dict[str, Any] = {"contents": contents}
    if system:
        request["systemInstruction"] = {"parts": system}
    functions = [_function(tool) for tool in functions_of(chat)]
    if functions:
        request["tools"] = [{"functionDeclarations": functions}]
        request["toolConfig"] = {"functionCallingConfig": _calling(chat.get("tool_choice"))}
    config = {theirs: chat[name] for name, theirs in _CONFIG.items() if chat.get(name) is not None}
    limit = limit_of(chat) or call.cap_tokens
    if limit:
        config["maxOutputTokens"] = limit
    if stops := stops_of(chat):
        config["stopSequences"] = stops
    config |= _form(chat.get("response_format")) | _thinking(chat, call.upstream_model)
    if config:
        request["generationConfig"] = config
    method = "streamGenerateContent?alt=sse" if call.streamed else "generateContent"
    path = f"/models/{quote(call.upstream_model, safe='')}:{method}"
    return Outgoing(path, to_json(request), left_out(chat, _TRANSLATED))


def authorize(key: str, url: str, _content: bytes) -> Addressed:
    """The key as a header: never in the URL, which ends in logs."""
    return Addressed(url, {"x-goog-api-key": key} if key else {})


def parse_response(data: bytes, *, model: str, created_s: int) -> Parsed:
    """An answer as a chat completion of this time. Raises ProtocolError."""
    reader = GeminiReader(model=model, created_s=created_s)
    found = parse_object(data)
    if not isinstance(found.get("candidates"), list) and "promptFeedback" not in found:
        raise ProtocolError("the answer has no candidates")
    choices: dict[int, dict[str, Any]] = {}
    for chunk in reader.read_object(found):
        for part in chunk["choices"]:
            choice = choices.setdefault(
                part["index"],
                {"index": part["index"], "message": {"role": "assistant", "content": None}, "finish_reason": "stop"},
            )
            _add(choice["message"], part["delta"])
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
    answer = completion(
        found.get("responseId"), created_s=created_s, model=model, choices=list(choices.values()), usage=reader.usage
    )
    delivered = sum(text_bytes(one, "message") for one in choices.values())
    return Parsed(answer, reader.usage, delivered)


class GeminiReader(ChunkReader):
    """Reads a stream of answers, each with more parts, as chat chunks. It is never `done`: the connection ends it."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._counts: Mapping[str, Any] = {}
        self._begun: set[int] = set()
        self._calls: dict[int, int] = {}
        """How many tools each candidate has called."""

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""
        return parse_usage(self._counts) if self.finished else None

    def read(self, data: str) -> list[dict[str, Any]]:
        """See `libs.chat.providers.protocol.Reader`."""
        return self.read_object(parse_event(data))

    def read_object(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        """Takes one answer of a stream, or the only one. Raises as `read` does."""
        if isinstance(found.get("error"), dict):
            raise ProviderFailure(found["error"])
        self._identify(found.get("responseId"))
        if isinstance(found.get("usageMetadata"), dict):
            self._counts = found["usageMetadata"]
        feedback = found.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self.finished = True
            refusal = f"The prompt was blocked: {feedback['blockReason']}."
            return [self._chunk({"role": "assistant", "refusal": refusal}, "content_filter")]
        chunks: list[dict[str, Any]] = []
        for candidate in found.get("candidates") or ():
            if isinstance(candidate, dict):
                chunks += self._candidate(candidate)
        return chunks

    def _candidate(self, candidate: dict[str, Any]) -> list[dict[str, Any]]:
        index = candidate.get("index") or 0
        deltas = [self._delta(index, part) for part in (candidate.get("content") or {}).get("parts") or ()]
        chunks = [self._chunk(delta, index=index) for delta in deltas if delta]
        if chunks and index not in self._begun:
            self._begun.add(index)
            chunks[0]["choices"][0]["delta"] = {"role": "assistant", **chunks[0]["choices"][0]["delta"]}
        reason = candidate.get("finishReason")
        if reason:
            self.finished = True
            finish = finish_reason(_FINISH_REASONS.get(reason, "content_filter"), self._calls.get(index))
            chunks.append(self._chunk({}, finish, index=index))
        return chunks

    def _delta(self, index: int, part: dict[str, Any]) -> dict[str, Any]:
        signature = part.get("thoughtSignature")
        call = part.get("functionCall")
        if isinstance(call, dict):
            number = self._calls[index] = self._calls.get(index, 0) + 1
            arguments = encode(call.get("args") or {})
            piece: dict[str, Any] = {
                "index": number - 1,
                "id": call.get("id") or f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": {"name": call.get("name"), "arguments": arguments},
            }
            if signature:
                # As Google's own chat completions have it.
                piece["extra_content"] = {"google": {"thought_signature": signature}}
            return {"tool_calls": [piece]}
        text = part.get("text")
        if not isinstance(text, str):
            return {}
        delta: dict[str, Any] = {"reasoning_content" if part.get("thought") else "content": text}
        if signature:
            delta["extra_content"] = {"google": {"thought_signature": signature}}
        return delta


def parse_usage(usage: Any) -> TokenUsage | None:
    """Thoughts stand beside the candidates' tokens, and tools' prompts beside the prompt's; ours hold them."""
    if not isinstance(usage, dict):
        return None
    names = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    counts = [usage.get(name) or 0 for name in (*names, "cachedContentTokenCount")]
    if usage.get("promptTokenCount") is None or not all(isinstance(n, int) and n >= 0 for n in counts):
        return None
    prompt, tools, text, thought, cached = counts
    read, written = _modalities(usage.get("promptTokensDetails")), _modalities(usage.get("candidatesTokensDetails"))
    return TokenUsage(
        input_tokens=prompt + tools,
        output_tokens=text + thought,
        cache_read_tokens=cached,
        reasoning_tokens=thought,
        input_image_tokens=read.get("IMAGE", 0),
        output_image_tokens=written.get("IMAGE", 0),
        input_audio_tokens=read.get("AUDIO", 0),
        output_audio_tokens=written.get("AUDIO", 0),
    )


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name in ("content", "reasoning_content", "refusal"):
            message[name] = (message.get(name) or "") + value
        elif name == "tool_calls":
            calls = [{key: part for key, part in call.items() if key != "index"} for call in value]
            message.setdefault(name, []).extend(calls)
        elif name != "role":
            message[name] = value


def _contents(given: Sequence[dict[str, Any]], *, signed: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The instructions' parts, and the conversation."""
    names = {call.get("id"): name_of(call) for message in given for call in message.get("tool_calls") or ()}
    return conversation(
        given,
        instructed=lambda message: [{"text": text_of(message.get("content"))}],
        asked=lambda message: _parts(message.get("content")),
        answered=lambda message: _answer(message, signed=signed),
        resulted=lambda message: _result(message, names),
        model_role="model",
        key="parts",
    )


def _answer(message: dict[str, Any], *, signed: bool) -> list[dict[str, Any]]:
    parts = _parts(message.get("content"))
    signature = _signature(message)
    if signature and parts:
        parts[-1]["thoughtSignature"] = signature
    for number, call in enumerate(message.get("tool_calls") or ()):
        asked = {"id": call.get("id"), "name": name_of(call), "args": arguments_of(call)}
        part: dict[str, Any] = {"functionCall": asked}
        # Only the first of parallel calls bears one.
        mark = _signature(call) or (UNSIGNED if signed and number == 0 else None)
        if mark:
            part["thoughtSignature"] = mark
        parts.append(part)
    return parts


def _result(message: dict[str, Any], names: Mapping[Any, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    call_id = message.get("tool_call_id")
    name = names.get(call_id) or "tool"
    response = {"id": call_id, "name": name, "response": {"result": text_of(content)}}
    images = [part for part in content if part.get("type") != "text"] if isinstance(content, list) else []
    return [{"functionResponse": response}, *(_part(image) for image in images)]


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [_part(part) for part in content or () if isinstance(part, dict)]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "image_url":
        return _data(image_url_of(part), "image/jpeg")
    if kind == "file":
        return _data(str((part.get("file") or {}).get("file_data")), "application/pdf")
    if kind == "video_url":
        return _data(str((part.get("video_url") or {}).get("url")), "video/mp4")
    if kind == "input_audio":
        audio = part.get("input_audio") or {}
        return {"inlineData": {"mimeType": f"audio/{audio.get('format')}", "data": audio.get("data")}}
    return {"text": str(part.get("text") or "")}


def _data(url: str, otherwise: str) -> dict[str, Any]:
    inline = inline_data(url)
    if inline is None:
        return {"fileData": {"mimeType": otherwise, "fileUri": url}}
    return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    found = {"name": function.get("name")}
    if function.get("description"):
        found["description"] = function["description"]
    if function.get("parameters"):
        found["parametersJsonSchema"] = function["parameters"]
    return found


def _calling(choice: Any) -> dict[str, Any]:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [name_of(choice)]}
    return {"mode": {"required": "ANY", "none": "NONE"}.get(str(choice), "AUTO")}


def _form(form: Any) -> dict[str, Any]:
    if not isinstance(form, dict) or form.get("type") not in ("json_schema", "json_object"):
        return {}
    schema = (form.get("json_schema") or {}).get("schema")
    return {"responseMimeType": "application/json"} | ({"responseJsonSchema": schema} if schema else {})


def _thinking(chat: Mapping[str, Any], upstream_model: str) -> dict[str, Any]:
    """Gemini 2.5 takes a budget of tokens, from 3 on a level; "none" is a budget of 0 ("Thinking")."""
    effort = chat.get("reasoning_effort")
    if effort is None:
        return {}
    if effort == "none":
        return {"thinkingConfig": {"thinkingBudget": 0}}
    if not _signs(upstream_model):
        budget = budget_of(chat) or {"minimal": 512, "low": 1_024, "medium": 8_192}.get(str(effort), 24_576)
        return {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": budget}}
    return {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": _LEVELS.get(str(effort), "high")}}


def _signs(upstream_model: str) -> bool:
    """From Gemini 3 on a function call without a signature is refused."""
    return not upstream_model.startswith(("gemini-1", "gemini-2"))


def _signature(holder: dict[str, Any]) -> str | None:
    google = (holder.get("extra_content") or {}).get("google")
    return google.get("thought_signature") if isinstance(google, dict) else None


def _modalities(details: Any) -> dict[str, int]:
    return {
        str(one.get("modality")): one["tokenCount"]
        for one in (details if isinstance(details, list) else ())
        if isinstance(one, dict) and isinstance(one.get("tokenCount"), int)
    }


ADAPTER = Adapter(
    build=build_request,
    parse=lambda data, call: parse_response(data, model=call.model, created_s=call.created_s),
    reader=lambda call: GeminiReader(model=call.model, created_s=call.created_s),
    framing=ServerSentEvents,
    authorize=authorize,
    check=lambda key, base_url: authorize(key, base_url + "/models", b""),
    content=frozenset({"image_url", "file", "input_audio", "video_url"}),
)
