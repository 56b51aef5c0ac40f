"""Errors of chat completions, in the gateway's own shape. Pure."""

from libs.chat.surfaces.writer import data_event


def error_event(message: str, code: int, _sent: str) -> str:
    """An error after the first byte. It has no ``choices``: @ai-sdk/openai would take it for a chunk."""
    return data_event({"error": {"message": message, "code": code}})
