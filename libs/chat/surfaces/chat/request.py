"""Requests of OpenAI's chat completions: the common tongue, so little is translated. Pure.

Source: the OpenAI API reference, "Chat Completions".
"""

from libs.chat.shapes.completion import Fields


def wants_usage(body: Fields) -> bool:
    """Whether a stream is to end with a chunk of usage: OpenAI's way of asking, or OpenRouter's."""
    options, usage = body.get("stream_options"), body.get("usage")
    return (isinstance(options, dict) and options.get("include_usage") is True) or (
        isinstance(usage, dict) and usage.get("include") is True
    )
