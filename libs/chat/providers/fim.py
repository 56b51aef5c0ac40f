"""Fill-in-the-middle, as Mistral has it and Inception after it; it answers in chat completions' shape. Sans-I/O.

Source: the Mistral API reference, "Fim".
"""

from pydantic_core import to_json

from contracts.requests import FIM_MOST_TOKENS
from libs.chat.providers.fields import refused, supported
from libs.chat.providers.protocol import Call, Outgoing
from libs.config.providers import Provider

PATH = "/fim/completions"


def build(call: Call, provider: Provider) -> Outgoing:
    """The client's request, of a limited answer."""
    kept = supported(call.body, provider)
    limit = min(call.body.get("max_tokens") or FIM_MOST_TOKENS, FIM_MOST_TOKENS)
    body = {**kept, "model": call.upstream_model, "stream": call.streamed, "max_tokens": limit}
    for name, theirs in provider.renamed.items():
        if name in body:
            body[theirs] = body.pop(name)
    return Outgoing(PATH, to_json(body), refused(call.body, kept))
