"""AWS Bedrock's Converse. Source: the Bedrock API reference, "Converse", "ConverseStream" and "ContentBlock"."""

from typing import TypedDict

from libs.chat.shapes.completion import JsonObject


class Bytes(TypedDict):
    """Base64."""

    bytes: str


class Media(TypedDict, total=False):
    """An image, a document or a video."""

    format: str
    name: str
    source: Bytes


class ReasoningText(TypedDict, total=False):
    """A thought."""

    text: str
    signature: str | None


class ReasoningContent(TypedDict, total=False):
    """A thought, or one that only the model can read; in a stream, a piece of one."""

    reasoningText: ReasoningText
    redactedContent: str | None
    text: str
    signature: str


class ToolUse(TypedDict, total=False):
    """A call of a tool; in a stream, a piece of one, whose input is text."""

    toolUseId: str | None
    name: str | None
    input: JsonObject | str


class ToolResult(TypedDict, total=False):
    """What a tool gave."""

    toolUseId: str | None
    content: "list[Block]"


class CachePoint(TypedDict):
    """What is before it may be cached."""

    type: str


class Block(TypedDict, total=False):
    """A block of content; the field that it has says what it is."""

    text: str
    image: Media
    document: Media
    video: Media
    toolUse: ToolUse
    toolResult: ToolResult
    reasoningContent: ReasoningContent
    cachePoint: CachePoint


class Turn(TypedDict):
    """One turn of a conversation."""

    role: str
    content: list[Block]


class Schema(TypedDict):
    """A tool's parameters."""

    json: JsonObject


class ToolSpec(TypedDict, total=False):
    """A function that the model may call."""

    name: str | None
    description: str
    inputSchema: Schema


class Tool(TypedDict, total=False):
    """A tool, or a cache point among tools."""

    toolSpec: ToolSpec
    cachePoint: CachePoint


class NamedTool(TypedDict):
    """The tool that is to be called."""

    name: str | None


class ToolChoice(TypedDict, total=False):
    """Which tool is to be called."""

    tool: NamedTool
    any: dict[str, str]
    """Empty."""


class ToolConfig(TypedDict, total=False):
    """The tools."""

    tools: list[Tool]
    toolChoice: ToolChoice


class InferenceConfig(TypedDict, total=False):
    """How the answer is to be."""

    maxTokens: int
    temperature: float
    topP: float
    stopSequences: list[str]


class JsonSchema(TypedDict):
    """The schema is JSON in a text."""

    schema: str
    name: str


class Structure(TypedDict):
    """The form of the answer."""

    jsonSchema: JsonSchema


class TextFormat(TypedDict):
    """The form of the answer, with its kind."""

    type: str
    structure: Structure


class OutputConfig(TypedDict):
    """The form of the answer."""

    textFormat: TextFormat


class ServiceTier(TypedDict):
    """Of a request, and of its answer."""

    type: str


class ConverseRequest(TypedDict, total=False):
    """What is asked; the model is in the path."""

    messages: list[Turn]
    system: list[Block]
    inferenceConfig: InferenceConfig
    additionalModelRequestFields: JsonObject
    """The model's own."""
    toolConfig: ToolConfig
    outputConfig: OutputConfig
    serviceTier: ServiceTier


class Usage(TypedDict, total=False):
    """Counts of tokens; those of the cache stand beside those of the input."""

    inputTokens: int
    outputTokens: int
    cacheReadInputTokens: int
    cacheWriteInputTokens: int


class Output(TypedDict, total=False):
    """The message of an answer."""

    message: Turn


class ConverseAnswer(TypedDict, total=False):
    """A whole answer."""

    output: Output
    stopReason: str
    usage: Usage


class Start(TypedDict, total=False):
    """How a block begins; only calls of tools have one."""

    toolUse: ToolUse


class BlockEvent(TypedDict, total=False):
    """A block that begins, grows or ends."""

    contentBlockIndex: int
    start: Start
    delta: Block


class StopEvent(TypedDict, total=False):
    """The end of the model's text."""

    stopReason: str


class MetadataEvent(TypedDict, total=False):
    """The counts, at the end."""

    usage: Usage


class ConverseEvent(TypedDict, total=False):
    """An event of a stream: one of these fields."""

    messageStart: JsonObject
    contentBlockStart: BlockEvent
    contentBlockDelta: BlockEvent
    contentBlockStop: BlockEvent
    messageStop: StopEvent
    metadata: MetadataEvent
