"""The neutral conversation: chat completions, with what OpenRouter and Google added to them.

Every surface is translated to these and every protocol from them; a chunk that needs no translation is never built
anew. Sources: the OpenAI API reference, "Chat Completions"; OpenRouter, "Reasoning Tokens" (``reasoning_details``);
Google, "OpenAI compatibility" (``extra_content``).
"""

from collections.abc import Mapping
from typing import Any, TypedDict

JsonObject = dict[str, Any]
"""An object of the client's own, as a tool's arguments or a schema, or JSON that nobody has looked at yet."""
Fields = Mapping[str, object]
"""A request as the client sent it, whatever the surface: who reads a field checks what it is."""


class FunctionCall(TypedDict, total=False):
    """The function that a model calls."""

    name: str | None
    arguments: str
    """JSON, as the model wrote it."""


class Google(TypedDict, total=False):
    """What Google's models want back."""

    thought_signature: str


class ExtraContent(TypedDict, total=False):
    """What some provider added."""

    google: Google


class ToolCall(TypedDict, total=False):
    """A call of a tool; in a stream, a piece of one."""

    index: int
    id: str | None
    type: str
    function: FunctionCall
    extra_content: ExtraContent


class Address(TypedDict, total=False):
    """Where an image or a video is; a ``data:`` URL holds it."""

    url: str | None
    detail: str


class File(TypedDict, total=False):
    """A file, as a ``data:`` URL or by the ID that OpenAI knows it by."""

    filename: str | None
    file_data: str | None
    file_id: str | None


class Audio(TypedDict, total=False):
    """A recording in base64."""

    data: str
    format: str


class Part(TypedDict, total=False):
    """A piece of a message's content; ``type`` names the field that holds it."""

    type: str
    text: str
    refusal: str
    image_url: Address | str | None
    file: File
    input_audio: Audio
    video_url: Address | str | None
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
    extra_content: ExtraContent


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


class NamedFunction(TypedDict):
    """The function that is to be called."""

    name: str | None


class ToolChoice(TypedDict):
    """Which tool is to be called."""

    type: str
    function: NamedFunction


class JsonSchema(TypedDict, total=False):
    """A schema with its name."""

    name: str
    description: str
    schema: JsonObject | None
    strict: bool


class ResponseFormat(TypedDict, total=False):
    """The form of the answer."""

    type: str
    json_schema: JsonSchema


class Reasoning(TypedDict, total=False):
    """How the model is to think, in OpenRouter's shape."""

    effort: str | None
    max_tokens: int | None
    enabled: bool | None
    exclude: bool | None


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
    tool_choice: str | ToolChoice
    functions: list[Function]
    function_call: str | FunctionCall
    parallel_tool_calls: bool
    response_format: ResponseFormat
    reasoning_effort: str
    reasoning: Reasoning
    verbosity: str
    service_tier: str
    user: str
    safety_identifier: str
    prompt_cache_key: str
