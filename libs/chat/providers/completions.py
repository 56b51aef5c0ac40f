"""OpenAI's completions from before chat, for providers that have them (vLLM, llama.cpp). Sans-I/O.

Source: the OpenAI API reference, "Completions".
"""

from pydantic_core import to_json

from libs.chat.providers.fields import refused, without_unsupported
from libs.chat.providers.protocol import Call, Outgoing
from libs.config.providers import Provider

PATH = "/completions"


def build(call: Call, provider: Provider) -> Outgoing:
    """The client's request, of a limited answer whose usage is always asked for."""
    kept = without_unsupported(call.body, provider)
    body = {**kept, "model": call.upstream_model, "stream": call.streamed}
    if call.cap_tokens:
        body["max_tokens"] = call.cap_tokens
    if call.streamed and provider.stream_usage:
        options = kept.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return Outgoing(PATH, to_json(body), refused(call.body, kept))
