"""What of a client's request goes through the log to a server of MCP: the content of its prompt. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from libs.mcp.headers import PARAMETER
from libs.mcp.messages import CAPABILITIES_META, Id, Json
from libs.mcp.server import Served

MOST_HEADERS = 32
MOST_HEADER_CHARACTERS = 2_000
_PASSED = ("arguments", "inputResponses", "requestState")


@dataclass(frozen=True, slots=True, repr=False)
class Envelope:
    """One request. Which tool it calls is on its route, where policy has seen it."""

    id: Id
    modern: bool
    """The client speaks a revision without a handshake."""
    params: Json
    capabilities: Json
    """Of the client, for a server that asks it back (MRTR)."""
    progress_token: Id | None = None
    """The client wants to know how the call goes on."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """``Mcp-Param-*``: they repeat arguments, so they go where arguments go."""

    @classmethod
    def of(cls, served: Served, headers: Mapping[str, str]) -> "Envelope":
        """What matters of a request.

        Args:
            headers: of HTTP, by lower-case name.
        """
        message, token = served.message, served.message.meta.get("progressToken")
        capabilities = message.meta.get(CAPABILITIES_META) if served.modern else None
        given = [(name, value) for name, value in headers.items() if name.startswith(PARAMETER)]
        return cls(
            id=message.id if message.id is not None else "",
            modern=served.modern,
            params={name: message.params[name] for name in _PASSED if name in message.params},
            capabilities=capabilities if isinstance(capabilities, dict) else {},
            progress_token=token if isinstance(token, str | int) and not isinstance(token, bool) else None,
            headers={name: value for name, value in given[:MOST_HEADERS] if len(value) <= MOST_HEADER_CHARACTERS},
        )

    def encode(self) -> bytes:
        """The content of the prompt."""
        return to_json(asdict(self))

    @classmethod
    def decode(cls, content: Mapping[str, Any] | bytes) -> "Envelope":
        """Inverse of `encode`. Raises ValueError, TypeError or KeyError for what is no envelope."""
        found = from_json(content) if isinstance(content, bytes) else content
        return cls(**{name: found[name] for name in cls.__dataclass_fields__ if name in found})
