"""OpenAI's chat completions as clients speak it: the common tongue, so nothing is translated.

Source: the OpenAI API reference, "Chat Completions"; the shape of errors is the gateway's own.
"""

from typing import Any

from libs.chat.surfaces.writer import data_event

DONE = "[DONE]"


class ChatWriter:
    """Chunks as they are; the usage, if it is wanted, then ``[DONE]``, at the end."""

    def __init__(self, *, usage: bool) -> None:
        self._usage = usage

    def chunk(self, chunk: dict[str, Any]) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return data_event(chunk)

    def finish(self, tail: dict[str, Any] | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return (data_event(tail) if tail and self._usage else "") + f"data: {DONE}\n\n"


def wants_usage(body: dict[str, Any]) -> bool:
    """Whether a stream is to end with a chunk of usage: OpenAI's way of asking, or OpenRouter's."""
    options, usage = body.get("stream_options"), body.get("usage")
    return (isinstance(options, dict) and options.get("include_usage") is True) or (
        isinstance(usage, dict) and usage.get("include") is True
    )


def error_event(message: str, code: int, _sent: str) -> str:
    """An error after the first byte. It has no ``choices``: @ai-sdk/openai would take it for a chunk."""
    return data_event({"error": {"message": message, "code": code}})
