"""OpenAI's chat completions as clients speak it: the common tongue, so nothing is translated.

Source: the OpenAI API reference, "Chat Completions"; the shape of errors is the gateway's own.
"""

from typing import Any

import orjson

DONE = "[DONE]"


class ChatWriter:
    """Chunks as they are; the usage, then ``[DONE]``, at the end."""

    def chunk(self, chunk: dict[str, Any]) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return sse(chunk)

    def finish(self, tail: dict[str, Any] | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return (sse(tail) if tail else "") + f"data: {DONE}\n\n"


def sse(chunk: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {orjson.dumps(chunk).decode()}\n\n"


def error_event(message: str, code: int) -> str:
    """An error after the first byte, in the documented shape."""
    return sse(
        {
            "error": {"message": message, "code": code},
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        }
    )
