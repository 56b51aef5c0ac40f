"""OpenAI's embeddings, as most providers speak them; Gemini's are in `gemini_embeddings`. Sans-I/O.

Source: the OpenAI API reference, "Embeddings".
"""

from pydantic_core import to_json

from contracts.usage import TokenUsage
from libs.chat.providers.fields import refused, supported
from libs.chat.providers.protocol import Call, Outgoing
from libs.chat.shapes.embeddings import Usage
from libs.config.providers import Provider

PATH = "/embeddings"


def build(call: Call, provider: Provider) -> Outgoing:
    """The client's request."""
    kept = supported(call.body, provider)
    content = to_json({**kept, "model": call.upstream_model})
    return Outgoing(PATH, content, refused(call.body, kept))


def usage_json(usage: TokenUsage) -> Usage:
    """Counts in the shape of the protocol."""
    return {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
