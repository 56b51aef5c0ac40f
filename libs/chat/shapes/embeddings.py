"""OpenAI's embeddings. Source: the OpenAI API reference, "Embeddings"."""

from typing import TypedDict


class EmbeddingsRequest(TypedDict, total=False):
    """What is asked."""

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    dimensions: int
    encoding_format: str
    user: str


class Vector(TypedDict):
    """One embedding: numbers, or in base64 floats of 32 bits, the least byte first."""

    object: str
    index: int
    embedding: list[float] | str


class Usage(TypedDict):
    """Counts of tokens."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(TypedDict, total=False):
    """The embeddings."""

    object: str
    data: list[Vector]
    model: str
    usage: Usage
