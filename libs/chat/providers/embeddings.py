"""OpenAI's embeddings, as most providers speak them; Gemini's are in `libs.chat.providers.gemini`. Sans-I/O.

Source: the OpenAI API reference, "Embeddings".
"""

from pydantic_core import to_json

from libs.chat.providers.protocol import Call, Outgoing, refused, supported
from libs.config.gateway import Provider

PATH = "/embeddings"


def build(call: Call, provider: Provider) -> Outgoing:
    """The client's request."""
    kept = supported(call.body, provider)
    content = to_json({**kept, "model": call.upstream_model})
    return Outgoing(PATH, content, refused(call.body, kept))
