"""OpenAI's Responses. Source: the OpenAI API reference, "Responses" and "Streaming events"."""

from typing import TypedDict

from libs.chat.shapes.completion import Audio, JsonObject


class Part(TypedDict, total=False):
    """A piece of a message, of a thought's summary, or of a tool's result."""

    type: str
    text: str | None
    refusal: str | None
    annotations: list[JsonObject]
    logprobs: list[JsonObject]
    image_url: str | None
    detail: str
    filename: str | None
    file_data: str | None
    file_id: str | None
    input_audio: Audio


class Item(TypedDict, total=False):
    """An item of a conversation; ``type`` says which of the fields it has, and a message may lack it."""

    type: str
    id: str | None
    status: str
    role: str | None
    content: str | list[Part]
    summary: list[Part]
    encrypted_content: str | None
    call_id: str | None
    name: str | None
    arguments: str | None
    input: str | None
    """Of a custom tool."""
    output: str | list[Part]
    """What a tool gave."""


class Tool(TypedDict, total=False):
    """A tool; of others than functions, ``format`` and more are their own."""

    type: str
    name: str | None
    description: str
    parameters: JsonObject
    strict: bool
    format: JsonObject


class ToolChoice(TypedDict, total=False):
    """Which tool is to be called."""

    type: str
    name: str | None


class Reasoning(TypedDict, total=False):
    """How the model is to think."""

    effort: str | None
    summary: str


class Form(TypedDict, total=False):
    """The form of the answer."""

    type: str
    name: str
    description: str
    schema: JsonObject | None
    strict: bool


class Text(TypedDict, total=False):
    """How the answer is to be."""

    format: Form
    verbosity: str


class ResponsesRequest(TypedDict, total=False):
    """What is asked."""

    model: str | None
    input: str | list[Item]
    instructions: str | None
    stream: bool
    store: bool
    include: list[str]
    max_output_tokens: int | None
    temperature: float
    top_p: float
    tools: list[Tool]
    tool_choice: str | ToolChoice
    parallel_tool_calls: bool
    reasoning: Reasoning
    text: Text
    truncation: str
    user: str
    safety_identifier: str
    prompt_cache_key: str
    service_tier: str
    metadata: dict[str, str]
    previous_response_id: str | None
    conversation: str | JsonObject | None
    prompt: JsonObject | None
    background: bool | None


class InputDetails(TypedDict, total=False):
    """Parts of the input's tokens."""

    cached_tokens: int | None


class OutputDetails(TypedDict, total=False):
    """Parts of the output's tokens."""

    reasoning_tokens: int | None


class Usage(TypedDict, total=False):
    """Counts of tokens; the details are parts of the counts."""

    input_tokens: int | None
    input_tokens_details: InputDetails
    output_tokens: int | None
    output_tokens_details: OutputDetails
    total_tokens: int


class Incomplete(TypedDict, total=False):
    """Why an answer is not whole."""

    reason: str


class Response(TypedDict, total=False):
    """An answer, with what of the request it repeats (`ResponsesRequest`)."""

    id: str
    object: str
    created_at: int
    status: str
    error: JsonObject | None
    incomplete_details: Incomplete | None
    model: str | None
    output: list[Item]
    previous_response_id: str | None
    store: bool
    usage: Usage | None


class ResponsesEvent(TypedDict, total=False):
    """An event of a stream."""

    type: str
    sequence_number: int
    response: Response
    item: Item
    item_id: str
    output_index: int
    content_index: int
    summary_index: int
    part: Part
    delta: str
    logprobs: list[JsonObject]
    error: JsonObject
