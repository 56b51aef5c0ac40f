"""Each surface's fields with a value that asks for something, and where the rules of each protocol are written. Data.

`libs.chat.table` asks the code what becomes of each; `docs/translation.md` is what it found.
"""

from dataclasses import dataclass, field

from contracts.requests import Surface
from libs.chat.shapes.completion import JsonObject
from libs.config.providers import ProtocolName

IMAGE = "data:image/png;base64,aGk="
PDF = "data:application/pdf;base64,aGk="
_SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
_FUNCTION: JsonObject = {"name": "f", "description": "d", "parameters": _SCHEMA}
_MARK: JsonObject = {"cache_control": {"type": "ephemeral"}}


_TOOLS: JsonObject = {"tools": [{"type": "function", "function": _FUNCTION}]}


@dataclass(frozen=True, slots=True)
class Row:
    """A field, or a form of content, of a request."""

    name: str
    fields: JsonObject
    """What it adds to the least request, or replaces of it."""
    beside: JsonObject = field(default_factory=dict)
    """What the least request is to have, so that nothing else differs."""
    piece: JsonObject | None = None
    """Of content: what is kept if it is sent as it is; None: the fields."""


def _fields(**values: object) -> tuple[Row, ...]:
    return tuple(Row(f"`{name}`", {name: value}) for name, value in values.items())


def _talk(turns: str, name: str, text: JsonObject, part: JsonObject, role: str = "user") -> Row:
    def talk(*parts: JsonObject) -> JsonObject:
        first, last = {"role": "user", "content": "hi"}, {"role": "user", "content": "so"}
        return {turns: [first, {"role": role, "content": [*parts, text]}, last]}

    return Row(name, talk(part), talk(), part)


def _chat_part(name: str, part: JsonObject) -> Row:
    return _talk("messages", name, {"type": "text", "text": "what?"}, part)


def _block(name: str, block: JsonObject, role: str = "user") -> Row:
    return _talk("messages", name, {"type": "text", "text": "what?"}, block, role)


def _input_part(name: str, part: JsonObject) -> Row:
    return _talk("input", name, {"type": "input_text", "text": "what?"}, part)


def _chat_turn(name: str, answer: JsonObject, *results: JsonObject) -> Row:
    def talk(more: JsonObject, *results: JsonObject) -> JsonObject:
        first, last = {"role": "user", "content": "hi"}, {"role": "user", "content": "so"}
        return {"messages": [first, {"role": "assistant", "content": "well", **more}, *results, last]}

    return Row(name, talk(answer, *results), talk({}), {"role": "assistant", "content": "well", **answer})


def _marked(turns: str, name: str) -> Row:
    text: JsonObject = {"type": "text", "text": "long"}

    def talk(part: JsonObject) -> JsonObject:
        return {turns: [{"role": "user", "content": [part]}]}

    return Row(name, talk({**text, **_MARK}), talk(text), {**text, **_MARK})


_CALL: JsonObject = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_RESULT: JsonObject = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
_THOUGHT: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "eHg="}
LEAST: dict[Surface, JsonObject] = {
    Surface.CHAT_COMPLETIONS: {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50_000},
    Surface.RESPONSES: {"input": "hi", "store": False, "max_output_tokens": 50_000},
    Surface.MESSAGES: {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50_000},
    Surface.COMPLETIONS: {"prompt": "hi", "max_tokens": 50_000},
}
"""The least request of each surface, in which the model has room to think."""
ROWS: dict[Surface, tuple[Row, ...]] = {
    Surface.CHAT_COMPLETIONS: (
        *_fields(
            frequency_penalty=0.5,
            functions=[_FUNCTION],
            logit_bias={"1": 1},
            logprobs=True,
            max_completion_tokens=9,
            metadata={"a": "b"},
            n=2,
            presence_penalty=0.5,
            prompt_cache_key="k",
            reasoning={"effort": "high"},
            reasoning_effort="high",
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}},
            safety_identifier="s",
            seed=7,
            service_tier="default",
            stop=["x"],
            temperature=0.5,
            tools=[{"type": "function", "function": _FUNCTION}],
            top_k=5,
            top_logprobs=2,
            top_p=0.5,
            user="u",
            verbosity="low",
            web_search_options={"search_context_size": "low"},
        ),
        Row("`parallel_tool_calls`", {"parallel_tool_calls": False}, _TOOLS),
        Row('`response_format` of type "json_object"', {"response_format": {"type": "json_object"}}),
        _chat_part("image as `data:` URL", {"type": "image_url", "image_url": {"url": IMAGE}}),
        _chat_part("image by address", {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}),
        _chat_part("file as `data:` URL", {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
        _chat_part("file by ID", {"type": "file", "file": {"file_id": "file-1"}}),
        _chat_part("audio", {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
        _chat_part("video as `data:` URL", {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,aGk="}}),
        _marked("messages", "`cache_control` of a part"),
        _chat_turn("a call of a tool and its result", {"tool_calls": [_CALL]}, _RESULT),
        _chat_turn(
            "a thought with its signature",
            {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "c2ln"}]},
        ),
        _chat_turn("a redacted thought", {"reasoning_details": [{"type": "reasoning.encrypted", "data": "eHg="}]}),
        _chat_turn(
            "an encrypted thought of OpenAI",
            {"reasoning_details": [{"type": "reasoning.encrypted", "id": "rs_1", "data": "eHg="}]},
        ),
        _chat_turn("a refusal", {"refusal": "no"}),
    ),
    Surface.RESPONSES: (
        *_fields(
            include=["message.output_text.logprobs"],
            instructions="be brief",
            max_tool_calls=2,
            metadata={"a": "b"},
            previous_response_id="resp_1",
            prompt={"id": "pmpt_1"},
            prompt_cache_key="k",
            reasoning={"effort": "high"},
            safety_identifier="s",
            service_tier="default",
            temperature=0.5,
            text={"format": {"type": "json_schema", "name": "a", "schema": _SCHEMA}},
            tools=[{"type": "function", **_FUNCTION}],
            top_logprobs=2,
            top_p=0.5,
            truncation="auto",
            user="u",
        ),
        Row("`parallel_tool_calls`", {"parallel_tool_calls": False}, {"tools": [{"type": "function", **_FUNCTION}]}),
        Row("tools of OpenAI", {"tools": [{"type": "web_search"}]}),
        _input_part("image as `data:` URL", {"type": "input_image", "image_url": IMAGE}),
        _input_part("file as `data:` URL", {"type": "input_file", "filename": "a.pdf", "file_data": PDF}),
        _input_part("file by ID", {"type": "input_file", "file_id": "file-1"}),
        Row(
            "an encrypted thought",
            {"input": [_THOUGHT, {"role": "assistant", "content": "well"}, {"role": "user", "content": "so"}]},
            {"input": [{"role": "assistant", "content": "well"}, {"role": "user", "content": "so"}]},
            _THOUGHT,
        ),
    ),
    Surface.MESSAGES: (
        *_fields(
            container="c",
            context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
            mcp_servers=[{"type": "url", "url": "https://x.example", "name": "m"}],
            metadata={"user_id": "u"},
            output_config={"format": {"type": "json_schema", "schema": _SCHEMA}},
            service_tier="standard_only",
            stop_sequences=["x"],
            system=[{"type": "text", "text": "be brief", **_MARK}],
            temperature=0.5,
            thinking={"type": "enabled", "budget_tokens": 2_048},
            tools=[{"name": "f", "description": "d", "input_schema": _SCHEMA}],
            top_k=5,
            top_p=0.5,
        ),
        Row("tools of Anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        _block(
            "image in base64",
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ),
        _block("image by address", {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}),
        _block(
            "document in base64",
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ),
        _block(
            "document of text",
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        ),
        _block("image by file ID", {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        _block("`search_result`", {"type": "search_result", "title": "t", "source": "s", "content": []}),
        _marked("messages", "`cache_control` of a block"),
        _block(
            "a thought with its signature", {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, "assistant"
        ),
        _block("a redacted thought", {"type": "redacted_thinking", "data": "eHg="}, "assistant"),
    ),
    Surface.COMPLETIONS: _fields(
        best_of=3,
        echo=True,
        frequency_penalty=0.5,
        logit_bias={"1": 1},
        logprobs=2,
        n=2,
        presence_penalty=0.5,
        seed=7,
        stop=["x"],
        suffix="so",
        temperature=0.5,
        top_p=0.5,
        user="u",
    ),
}
SOURCES: dict[Surface | ProtocolName, tuple[str, ...]] = {
    Surface.CHAT_COMPLETIONS: ("OpenAI API reference, Chat Completions", "OpenRouter, Reasoning Tokens"),
    Surface.RESPONSES: ("OpenAI API reference, Responses",),
    Surface.MESSAGES: ("Anthropic API reference, Messages",),
    Surface.COMPLETIONS: ("OpenAI API reference, Completions",),
    "openai-chat": ("OpenAI API reference, Chat Completions: every field passes, a provider's `unsupported` apart",),
    "openai-responses": (
        "OpenAI API reference, Responses: no `n`, `seed`, `stop`, `logit_bias` or penalties",
        "OpenAI, Reasoning models: encrypted content",
    ),
    "anthropic-messages": (
        "Anthropic API reference, Messages",
        "Extended thinking: no `temperature` or `top_k` beside a thought; signatures come back as they were",
        "Structured outputs: a schema, never any JSON",
        "Prompt caching: `cache_control`",
    ),
    "gemini": (
        "Gemini API reference, GenerationConfig and Part",
        "Thinking: budgets before Gemini 3, levels from it on",
        "Thought signatures",
    ),
    "bedrock-converse": (
        "Bedrock API reference, InferenceConfiguration: limit, stops, `temperature` and `topP` alone",
        "ContentBlock: bytes, no addresses; CachePointBlock",
        "The model's own fields in `additionalModelRequestFields`",
    ),
}
"""By surface and by protocol: the documents in which its rules are written."""
