"""Google's embeddings for clients of OpenAI's. Sans-I/O.

Source: the Gemini API reference, "Embeddings"; the OpenAI API reference, "Embeddings".
"""

import base64
import struct
from collections.abc import Callable
from typing import cast
from urllib.parse import quote

from pydantic_core import to_json

from contracts.usage import TokenUsage, plausible
from libs.chat.providers.embeddings import usage_json
from libs.chat.providers.fields import left_out
from libs.chat.providers.protocol import Outgoing, Parsed, ProtocolError, parse_object
from libs.chat.shapes.embeddings import EmbeddingsAnswer as Answer
from libs.chat.shapes.embeddings import EmbeddingsRequest, Vector
from libs.chat.shapes.gemini import Embedding, EmbeddingsAnswer, EmbedRequest, Usage
from libs.chat.surfaces.writer import SurfaceError


def build(body: EmbeddingsRequest, upstream_model: str) -> Outgoing:
    """OpenAI's request for Gemini. Raises SurfaceError."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise SurfaceError("`input` must be text or a list of texts: Gemini takes no token numbers.")
    name = f"models/{upstream_model}"
    requests: list[EmbedRequest] = [{"model": name, "content": {"parts": [{"text": str(text)}]}} for text in texts]
    for request in requests if body.get("dimensions") else ():
        request["outputDimensionality"] = body["dimensions"]
    path = f"/models/{quote(upstream_model, safe='')}:batchEmbedContents"
    dropped = left_out(body, ("input", "dimensions", "user", "encoding_format"))
    return Outgoing(path, to_json({"requests": requests}), dropped)


def parse(data: bytes, body: EmbeddingsRequest, *, model: str) -> Parsed:
    """Embeddings as OpenAI gives them, in the client's ``encoding_format``. Raises ProtocolError."""
    found = cast("EmbeddingsAnswer", parse_object(data))
    embeddings = found.get("embeddings")
    if not isinstance(embeddings, list):
        raise ProtocolError("the answer has no embeddings")
    encoded: Callable[[list[float]], list[float] | str] = list
    if body.get("encoding_format") == "base64":
        encoded = _base64
    vectors: list[Vector] = [
        {"object": "embedding", "index": index, "embedding": encoded(_values(one))}
        for index, one in enumerate(embeddings)
    ]
    usage = _usage(found.get("usageMetadata"))
    answer: Answer = {"object": "list", "data": vectors, "model": model}
    if usage:
        answer["usage"] = usage_json(usage)
    return Parsed(answer, usage, 0)


def _values(embedding: Embedding) -> list[float]:
    values = embedding.get("values") if isinstance(embedding, dict) else None
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise ProtocolError("an embedding has no values")
    return values


def _base64(values: list[float]) -> str:
    """Floats of 32 bits, the least byte first, as OpenAI's SDKs read them."""
    try:
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    except (OverflowError, struct.error):
        raise ProtocolError("a value is larger than a float of 32 bits") from None


def _usage(usage: Usage | None) -> TokenUsage | None:
    count = usage.get("promptTokenCount") if isinstance(usage, dict) else None
    return TokenUsage(input_tokens=count) if plausible(count) else None
