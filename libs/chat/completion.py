"""The neutral conversation: chat completions, with what OpenRouter and Google added to them. Types alone.

Every surface is translated to these and every protocol from them. They are dictionaries as the JSON gives them, so a
chunk that needs no translation is never built anew. What a client or a provider sent may lack any field, and nobody
has checked the values: readers ask with ``get``. Sources: the OpenAI API reference, "Chat Completions"; OpenRouter,
"Reasoning Tokens" (``reasoning_details``); Google, "OpenAI compatibility" (``extra_content``).
"""

from typing import Any, TypedDict

JsonObject = dict[str, Any]
"""An object whose shape is another protocol's, or the client's."""


class FunctionCall(TypedDict, total=False):
    """The function that a model calls."""

    name: str | None
    arguments: str
    """JSON, as the model wrote it."""


class ToolCall(TypedDict, total=False):
    """A call of a tool; in a stream, a piece of one."""

    index: int
    id: str | None
    type: str
    function: FunctionCall
    extra_content: JsonObject
    """``google.thought_signature``."""


class Part(TypedDict, total=False):
    """A piece of a message's content; ``type`` names the field that holds it."""

    type: str
    text: str
    refusal: str
    image_url: JsonObject | str
    file: JsonObject
    input_audio: JsonObject
    video_url: JsonObject | str
    cache_control: JsonObject


class Detail(TypedDict, total=False):
    """A thought, or what of it only the model can read."""

    type: str
    id: str | None
    """OpenAI's have one."""
    index: int
    text: str | None
    summary: str
    signature: str | None
    data: str | None


class Delta(TypedDict, total=False):
    """What a chunk adds to a message."""

    role: str
    content: str | list[Part] | None
    refusal: str
    reasoning_content: str
    reasoning: str
    """Another name of ``reasoning_content``."""
    reasoning_details: list[Detail]
    tool_calls: list[ToolCall]
    function_call: FunctionCall
    """Deprecated, as ``functions``."""
    audio: JsonObject
    extra_content: JsonObject


class Message(Delta, total=False):
    """One turn of a conversation."""

    name: str
    tool_call_id: str | None


class Function(TypedDict, total=False):
    """A function that a model may call."""

    name: str | None
    description: str
    parameters: JsonObject
    strict: bool


class Tool(TypedDict, total=False):
    """A tool; only functions have a form in every protocol."""

    type: str
    function: Function
    cache_control: JsonObject


class Usage(TypedDict, total=False):
    """Counts of tokens; the details are parts of the counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class Choice(TypedDict, total=False):
    """One of an answer's messages."""

    index: int
    message: Message
    finish_reason: str | None


class Completion(TypedDict, total=False):
    """A whole answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class ChunkChoice(TypedDict, total=False):
    """What a chunk adds to one of an answer's messages."""

    index: int
    delta: Delta
    finish_reason: str | None


class Chunk(TypedDict, total=False):
    """A piece of a streamed answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage


class ChatRequest(TypedDict, total=False):
    """What is asked; also fields that are not named here, since providers have their own."""

    model: str | None
    messages: list[Message]
    stream: bool
    stream_options: JsonObject
    temperature: float
    top_p: float
    top_k: int
    n: int
    stop: str | list[str]
    max_tokens: int
    max_completion_tokens: int
    tools: list[Tool]
    tool_choice: str | JsonObject
    functions: list[Function]
    function_call: str | FunctionCall
    parallel_tool_calls: bool
    response_format: JsonObject
    reasoning_effort: str
    reasoning: JsonObject
    verbosity: str
    service_tier: str
    user: str
    safety_identifier: str
    prompt_cache_key: str
