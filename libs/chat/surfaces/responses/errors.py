"""Errors of OpenAI's Responses. Pure.

Source: the OpenAI API reference, "Streaming events": error.
"""

from libs.chat.exact_json import decode
from libs.chat.surfaces.writer import named_event


def error_event(message: str, code: int, sent: str) -> str:
    """An error after the first byte, numbered after the events that were sent.

    The reference has its fields beside ``type``; OpenAI sends them under ``error``, and its SDKs raise only those.
    """
    fields = {"code": str(code), "message": message, "param": None}
    kind = "server_error" if code >= 500 else "invalid_request_error"
    number = _last_number(sent) + 1
    return named_event({"type": "error", **fields, "error": {"type": kind, **fields}, "sequence_number": number})


def _last_number(sent: str) -> int:
    """The sequence number of the last of some events; -1 where there is none."""
    _, _, data = sent.rpartition("\ndata: ")
    try:
        event = decode(data)
    except ValueError:
        return -1
    number = event.get("sequence_number") if isinstance(event, dict) else None
    return number if isinstance(number, int) else -1
