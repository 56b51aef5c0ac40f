"""Google's Gemini. Source: the Gemini API reference, "Generating content" and "Function calling"."""

from typing import TypedDict

from libs.chat.shapes.completion import JsonObject


class Data(TypedDict, total=False):
    """Bytes in base64, or the address of a file."""

    mimeType: str
    data: str | None
    fileUri: str


class FunctionCall(TypedDict, total=False):
    """A call of a function."""

    id: str | None
    name: str | None
    args: JsonObject


class FunctionResponse(TypedDict, total=False):
    """What a function gave."""

    id: str | None
    name: str
    response: dict[str, str]


class Part(TypedDict, total=False):
    """A piece of a turn; the field that it has says what it is."""

    text: str
    thought: bool
    thoughtSignature: str
    inlineData: Data
    fileData: Data
    functionCall: FunctionCall
    functionResponse: FunctionResponse


class Content(TypedDict, total=False):
    """One turn of a conversation, or the instructions, which have no role."""

    role: str
    parts: list[Part]


class Function(TypedDict, total=False):
    """A function that the model may call."""

    name: str | None
    description: str
    parametersJsonSchema: JsonObject


class Tool(TypedDict, total=False):
    """Functions."""

    functionDeclarations: list[Function]


class Calling(TypedDict, total=False):
    """Whether functions are to be called, and which."""

    mode: str
    allowedFunctionNames: list[str | None]


class ToolConfig(TypedDict, total=False):
    """How tools are used."""

    functionCallingConfig: Calling


class ThinkingConfig(TypedDict, total=False):
    """How the model is to think."""

    includeThoughts: bool
    thinkingBudget: int
    thinkingLevel: str


class GenerationConfig(TypedDict, total=False):
    """How the answer is to be."""

    temperature: float
    topP: float
    topK: int
    candidateCount: int
    seed: int
    presencePenalty: float
    frequencyPenalty: float
    maxOutputTokens: int
    stopSequences: list[str]
    responseMimeType: str
    responseJsonSchema: JsonObject
    thinkingConfig: ThinkingConfig


class GeminiRequest(TypedDict, total=False):
    """What is asked."""

    contents: list[Content]
    systemInstruction: Content
    tools: list[Tool]
    toolConfig: ToolConfig
    generationConfig: GenerationConfig
    service_tier: str


class ModalityCount(TypedDict, total=False):
    """Tokens of one kind of content."""

    modality: str
    tokenCount: int


class Usage(TypedDict, total=False):
    """Counts of tokens: thoughts stand beside the candidates', tools' prompts beside the prompt's."""

    promptTokenCount: int
    toolUsePromptTokenCount: int
    candidatesTokenCount: int
    thoughtsTokenCount: int
    cachedContentTokenCount: int
    promptTokensDetails: list[ModalityCount]
    candidatesTokensDetails: list[ModalityCount]


class Candidate(TypedDict, total=False):
    """One of an answer's texts, or a piece of it."""

    index: int
    content: Content
    finishReason: str


class Feedback(TypedDict, total=False):
    """What the provider says of the prompt."""

    blockReason: str


class GeminiAnswer(TypedDict, total=False):
    """An answer, or a piece of one: a stream is many of them."""

    responseId: str
    candidates: list[Candidate]
    promptFeedback: Feedback
    usageMetadata: Usage
    error: JsonObject


class TextContent(TypedDict):
    """One text that is to be embedded."""

    model: str
    content: Content


class EmbedRequest(TextContent, total=False):
    """One of a batch."""

    outputDimensionality: int


class Embedding(TypedDict, total=False):
    """One vector."""

    values: list[float]


class EmbeddingsAnswer(TypedDict, total=False):
    """The vectors of a batch."""

    embeddings: list[Embedding]
    usageMetadata: Usage
