"""Anthropic's Messages. Source: the Anthropic API reference, "Messages" and "Streaming Messages"."""

from typing import TypedDict

from libs.chat.shapes.completion import JsonObject


class Source(TypedDict, total=False):
    """Where the bytes of an image or a document are."""

    type: str
    media_type: str
    data: str
    url: str
    content: "str | list[Block]"


class Block(TypedDict, total=False):
    """A block of content; ``type`` says which of the fields it has."""

    type: str
    text: str | None
    thinking: str | None
    signature: str | None
    data: str | None
    """Of a redacted thought."""
    id: str | None
    name: str | None
    input: JsonObject
    """A call's arguments: the tool's own shape."""
    tool_use_id: str | None
    is_error: bool
    content: "str | list[Block] | None"
    """Of a tool's result."""
    source: Source
    title: str
    cache_control: JsonObject


class Turn(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str | list[Block]


class Tool(TypedDict, total=False):
    """A tool; Anthropic's own have a ``type`` and no ``input_schema``."""

    type: str
    name: str | None
    description: str
    input_schema: JsonObject
    cache_control: JsonObject


class ToolChoice(TypedDict, total=False):
    """Which tool is to be called."""

    type: str
    name: str | None
    disable_parallel_tool_use: bool


class Thinking(TypedDict, total=False):
    """How the model is to think."""

    type: str
    budget_tokens: int
    display: str


class Form(TypedDict, total=False):
    """The form of the answer."""

    type: str
    schema: JsonObject | None


class OutputConfig(TypedDict, total=False):
    """How the answer is to be."""

    effort: str
    format: Form


class Metadata(TypedDict, total=False):
    """Who asks."""

    user_id: str


class MessagesRequest(TypedDict, total=False):
    """What is asked."""

    model: str | None
    max_tokens: int
    messages: list[Turn]
    system: str | list[Block]
    stream: bool
    temperature: float
    top_p: float
    top_k: int
    stop_sequences: list[str]
    tools: list[Tool]
    tool_choice: ToolChoice
    thinking: Thinking
    output_config: OutputConfig
    output_format: Form
    metadata: Metadata
    service_tier: str
    anthropic_version: str
    """On Vertex AI."""


class Usage(TypedDict, total=False):
    """Counts of tokens; those of the cache stand beside those of the input."""

    input_tokens: int | None
    output_tokens: int | None
    cache_creation_input_tokens: int | None
    cache_read_input_tokens: int | None


class MessagesAnswer(TypedDict, total=False):
    """A message; in a stream's ``message_start``, one without content yet."""

    id: str | None
    type: str
    role: str
    model: str | None
    content: list[Block]
    stop_reason: str | None
    stop_sequence: str | None
    usage: Usage


class MessagesDelta(TypedDict, total=False):
    """What an event adds, to a block or to the message."""

    type: str
    text: str
    thinking: str
    signature: str
    partial_json: str
    stop_reason: str | None
    stop_sequence: str | None


class MessagesEvent(TypedDict, total=False):
    """An event of a stream."""

    type: str
    index: int
    message: MessagesAnswer
    content_block: Block
    delta: MessagesDelta
    usage: Usage
    error: JsonObject
