"""JSON-RPC messages of MCP. Pure. Sources: MCP 2026-07-28, "Base Protocol"; JSON-RPC 2.0."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

MODERN = ("2026-07-28",)
"""Revisions without a handshake: each request says what it speaks. The newest first."""
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
"""Those that begin with ``initialize``. The newest first."""
VERSION_META = "io.modelcontextprotocol/protocolVersion"
CLIENT_META = "io.modelcontextprotocol/clientInfo"
CAPABILITIES_META = "io.modelcontextprotocol/clientCapabilities"
SERVER_META = "io.modelcontextprotocol/serverInfo"

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
MOST_ID_CHARACTERS = 256
MOST_METHOD_CHARACTERS = 128

Id = str | int
Json = dict[str, Any]


class RpcError(Exception):
    """A message is not answered with a result; the text is for its sender."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, data: Json | None = None, id: Id | None = None
    ) -> None:
        """
        Args:
            status: of HTTP.
            id: of the request, as far as it could be read.
        """
        super().__init__(message)
        self.code = code
        self.status = status
        self.data = data
        self.id = id

    def encode(self, id: Id | None = None) -> bytes:
        """The message in answer to a request."""
        return error(self.id if id is None else id, self.code, str(self), self.data)


@dataclass(frozen=True, slots=True)
class Message:
    """A request; a notification, without an ID; or (no method) a response."""

    method: str | None
    id: Id | None
    params: Json

    @property
    def meta(self) -> Mapping[str, Any]:
        """``params._meta``; empty where there is none."""
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}


def parse(raw: bytes) -> Message:
    """One message. Raises RpcError."""
    try:
        found = from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise RpcError(PARSE_ERROR, "The body is not JSON.") from None
    if isinstance(found, list):
        raise RpcError(INVALID_REQUEST, "Batches are no part of MCP since 2025-06-18: send one message a POST.")
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'The body must be a JSON-RPC message with "jsonrpc": "2.0".')
    id, method, params = found.get("id"), found.get("method"), found.get("params", {})
    if id is not None and not is_id(id):
        raise RpcError(
            INVALID_REQUEST, f"`id` must be a whole number, or text of at most {MOST_ID_CHARACTERS} characters."
        )
    if method is None and ("result" in found or "error" in found):
        return Message(None, id, {})
    if not isinstance(method, str) or not 0 < len(method) <= MOST_METHOD_CHARACTERS:
        raise RpcError(INVALID_REQUEST, "`method` must be the name of a method.", id=id)
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "`params` must be an object.", id=id)
    return Message(method, id, params)


def is_id(value: object) -> bool:
    """It can be the ID of a request."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, str) and len(value) <= MOST_ID_CHARACTERS


def request(id: Id, method: str, params: Json) -> bytes:
    """A request."""
    return to_json({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def notification(method: str) -> bytes:
    """A notification without parameters."""
    return to_json({"jsonrpc": "2.0", "method": method})


def result(id: Id, content: Json) -> bytes:
    """The answer to a request."""
    return to_json({"jsonrpc": "2.0", "id": id, "result": content})


def message(id: Id, outcome: Json) -> bytes:
    """The answer to a request: its ``result``, or its ``error`` as another has written it."""
    return to_json({"jsonrpc": "2.0", "id": id, **outcome})


def encoded(content: Json) -> bytes:
    """A whole message."""
    return to_json(content)


def error(id: Id | None, code: int, message: str, data: Json | None = None) -> bytes:
    """The refusal of a request."""
    body: Json = {"code": code, "message": message} | ({"data": data} if data else {})
    return to_json({"jsonrpc": "2.0"} | ({} if id is None else {"id": id}) | {"error": body})
