"""OpenAI's chat completions as clients speak it: the common tongue, so nothing is translated.

Source: the OpenAI API reference, "Chat Completions"; the shape of errors is the gateway's own.
"""

from typing import Any

from libs.chat.surfaces.writer import data_event

DONE = "[DONE]"


class ChatWriter:
    """Chunks as they are; the usage, then ``[DONE]``, at the end."""

    def chunk(self, chunk: dict[str, Any]) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return data_event(chunk)

    def finish(self, tail: dict[str, Any] | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return (data_event(tail) if tail else "") + f"data: {DONE}\n\n"


def error_event(message: str, code: int, _sent: str) -> str:
    """An error after the first byte. It has no ``choices``: @ai-sdk/openai would take it for a chunk."""
    return data_event({"error": {"message": message, "code": code}})
