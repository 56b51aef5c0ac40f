"""Google's embeddings for clients of OpenAI's. Sans-I/O.

Source: the Gemini API reference, "Embeddings"; the OpenAI API reference, "Embeddings".
"""

import base64
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json

from contracts.usage import TokenUsage, plausible
from libs.chat.completion import JsonObject
from libs.chat.providers.embeddings import usage_json
from libs.chat.providers.fields import left_out
from libs.chat.providers.protocol import Outgoing, Parsed, ProtocolError, parse_object
from libs.chat.surfaces.writer import SurfaceError


def build(body: Mapping[str, Any], upstream_model: str) -> Outgoing:
    """OpenAI's request for Gemini. Raises SurfaceError."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise SurfaceError("`input` must be text or a list of texts: Gemini takes no token numbers.")
    name = f"models/{upstream_model}"
    size = {"outputDimensionality": body["dimensions"]} if body.get("dimensions") else {}
    requests = [{"model": name, "content": {"parts": [{"text": text}]}, **size} for text in texts]
    path = f"/models/{quote(upstream_model, safe='')}:batchEmbedContents"
    dropped = left_out(body, ("input", "dimensions", "user", "encoding_format"))
    return Outgoing(path, to_json({"requests": requests}), dropped)


def parse(data: bytes, body: Mapping[str, Any], *, model: str) -> Parsed:
    """Embeddings as OpenAI gives them, in the client's ``encoding_format``. Raises ProtocolError."""
    found = parse_object(data)
    embeddings = found.get("embeddings")
    if not isinstance(embeddings, list):
        raise ProtocolError("the answer has no embeddings")
    encoded = _base64 if body.get("encoding_format") == "base64" else list
    vectors = [
        {"object": "embedding", "index": index, "embedding": encoded(_values(one))}
        for index, one in enumerate(embeddings)
    ]
    usage = _usage(found.get("usageMetadata"))
    answer: JsonObject = {"object": "list", "data": vectors, "model": model}
    if usage:
        answer["usage"] = usage_json(usage)
    return Parsed(answer, usage, 0)


def _values(embedding: Any) -> list[float]:
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


def _usage(usage: Any) -> TokenUsage | None:
    count: Any = usage.get("promptTokenCount") if isinstance(usage, dict) else None
    return TokenUsage(input_tokens=count) if plausible(count) else None
