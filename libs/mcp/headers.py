"""Headers that repeat what a message of MCP 2026-07-28 says. Pure. Source: "Streamable HTTP", "Request Metadata"."""

import base64
import re

_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?\Z")
_ENCODED = re.compile(r"=\?base64\?(.*)\?=\Z", re.DOTALL)

VERSION = "mcp-protocol-version"
SESSION = "mcp-session-id"
METHOD = "mcp-method"
NAME = "mcp-name"
PARAMETER = "mcp-param-"
ACCEPT = "application/json, text/event-stream"


def encoded(value: str) -> str:
    """A text as a header has it."""
    if (not value or _PLAIN.match(value)) and not _ENCODED.match(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decoded(value: str) -> str | None:
    """The inverse; None where it is damaged."""
    found = _ENCODED.match(value)
    if not found:
        return value
    try:
        return base64.b64decode(found[1], validate=True).decode()
    except ValueError:
        return None
