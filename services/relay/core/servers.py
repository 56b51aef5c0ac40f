"""What a failure of an MCP server is to its client, and what of several servers' tools is listed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.control import PolicySet
from contracts.record import Refusal
from libs.mcp.client import tools_of
from libs.mcp.messages import Json
from libs.mcp.server import LIST_TTL_MS
from libs.policy.tools import refused_by

MOST_PAGES = 20
"""Of one server's tools."""
MOST_TOOLS = 500
"""Of one server; more than any model can choose from."""
UNAVAILABLE = "sluice/unavailable"
"""In the ``_meta`` of a list: the servers whose tools are missing, and why."""


def listed(pages: Sequence[Mapping[str, Any]], server: str, policy: PolicySet | None, role: str | None) -> list[Json]:
    """A server's tools that a role may call, as clients see them."""
    found = (pair for page in pages for pair in tools_of(page, server))
    return [tool for name, tool in found if refused_by(policy, role, server, name) is None][:MOST_TOOLS]


def list_of(tools: list[Json], missing: Mapping[str, str]) -> Json:
    """The result of a list."""
    result: Json = {"tools": tools, "ttlMs": 0 if missing else LIST_TTL_MS, "cacheScope": "private"}
    return {**result, "_meta": {UNAVAILABLE: dict(missing)}} if missing else result


def unreachable(name: str) -> Refusal:
    """No connection could be made."""
    return _refusal(503, name, "could not be reached; try again later")


def timed_out(name: str) -> Refusal:
    """It took too long."""
    return _refusal(504, name, "did not answer in time; it may have done what it was asked for")


def broke_off(name: str) -> Refusal:
    """The connection ended before the answer did, or the answer made no sense."""
    return _refusal(502, name, "gave no answer that makes sense; it may have done what it was asked for")


def too_large(name: str, most_bytes: int) -> Refusal:
    """The answer is larger than any may be."""
    return _refusal(502, name, f"gave an answer of more than {most_bytes} bytes")


def not_allowed(name: str, reason: str) -> Refusal:
    """Its address, or what it is to be sent, is not allowed here."""
    return _refusal(403, name, f"may not be called: {reason}")


def token_refused(name: str) -> Refusal:
    """Its authorization server does not know the gateway."""
    what = "is registered with a client ID, secret or scope that its authorization server refuses; register it again"
    return _refusal(502, name, what)


def no_token(name: str, what: str) -> Refusal:
    """There is no token for it."""
    return _refusal(503, name, f"was not asked: its authorization server {what}")


def refusal_of(name: str, status: int) -> Refusal:
    """A status that is no success."""
    if status in (401, 403):
        return _refusal(502, name, "refused what it was registered with; register it again with other headers")
    if status < 400:
        return _refusal(502, name, "is at another address: register that one, nothing is redirected")
    if status == 429:
        return _refusal(429, name, "is rate limiting; try again later")
    return _refusal(502, name, f"failed (HTTP {status})")


def _refusal(status: int, name: str, what: str) -> Refusal:
    return Refusal(status=status, message=f"The MCP server {name} {what}.", metadata={"server": name})
