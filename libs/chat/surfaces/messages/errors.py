"""Errors of Anthropic's Messages. Pure.

Source: the Anthropic API reference, "Errors".
"""

from libs.chat.surfaces.writer import (
    named_event,
)


def error_event(message: str, code: int, _sent: str) -> str:
    """An error after the first byte."""
    return named_event({"type": "error", "error": {"type": error_type(code), "message": message, "code": code}})


def error_type(code: int) -> str:
    """Anthropic's name of an HTTP status ("Errors")."""
    return {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
    }.get(code, "api_error")
