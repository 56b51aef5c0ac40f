"""The gateway as a server: which revision a client speaks, and what needs nobody else to be answered. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from libs.mcp import headers as names
from libs.mcp.messages import (
    CAPABILITIES_META,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    LEGACY,
    METHOD_NOT_FOUND,
    MODERN,
    SERVER_META,
    UNSUPPORTED_VERSION,
    VERSION_META,
    Json,
    Message,
    RpcError,
)

LIST, CALL = "tools/list", "tools/call"
INSTRUCTIONS = "Tools of several servers: the part of a tool's name before the first two underscores is its server's."
LIST_TTL_MS = 60_000


@dataclass(frozen=True, slots=True)
class Served:
    """A request for the tools of servers: all that others need of it."""

    message: Message
    modern: bool

    @property
    def tool(self) -> str | None:
        """The full name of the tool that is called; None: all tools are asked for."""
        return self.message.params["name"] if self.message.method == CALL else None


def revision_of(message: Message, headers: Mapping[str, str]) -> str:
    """The revision of the protocol that a message is of.

    Args:
        headers: by lower-case name.

    Raises:
        RpcError: header and message disagree, or it is none of ours.
    """
    said, stated = headers.get(names.VERSION), message.meta.get(VERSION_META)
    if message.method == "initialize":
        return LEGACY[0]
    if stated is None and said not in MODERN:
        # Before 2025-06-18 there was no such header.
        revision = said or LEGACY[-1]
    elif stated != said:
        raise RpcError(
            HEADER_MISMATCH, f"`_meta` and the header {names.VERSION} name different revisions.", id=message.id
        )
    else:
        revision = str(stated)
    if revision not in (*MODERN, *LEGACY):
        data = {"supported": [*MODERN, *LEGACY], "requested": revision[:64]}
        raise RpcError(UNSUPPORTED_VERSION, "This revision of MCP is not spoken here.", data=data, id=message.id)
    return revision


def check_modern(message: Message, headers: Mapping[str, str]) -> None:
    """Raises RpcError where a request lacks what each must have since 2026-07-28, or its headers say otherwise."""
    if not isinstance(message.meta.get(CAPABILITIES_META), dict):
        raise RpcError(INVALID_PARAMS, f"`_meta` must have `{CAPABILITIES_META}`, an object.", id=message.id)
    said = {names.METHOD: message.method}
    if message.method == CALL:
        said[names.NAME] = message.params.get("name")
    for name, value in said.items():
        given = headers.get(name)
        if given is None or names.decoded(given) != value:
            raise RpcError(
                HEADER_MISMATCH, f"The header {name} is missing, or not what the message says.", id=message.id
            )


def served(message: Message, *, modern: bool) -> Served | None:
    """What others must answer; None for what is answered at once. Raises RpcError for parameters that are none."""
    if message.method == LIST:
        if message.params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "`cursor` is none of ours: all tools are on one page.", id=message.id)
        return Served(message, modern)
    if message.method != CALL:
        return None
    if not isinstance(message.params.get("name"), str):
        raise RpcError(INVALID_PARAMS, "`name` must be the name of a tool.", id=message.id)
    if not isinstance(message.params.get("arguments", {}), dict | None):
        raise RpcError(INVALID_PARAMS, "`arguments` must be an object.", id=message.id)
    return Served(message, modern)


def answered(message: Message, *, modern: bool, version: str) -> Json:
    """The result of what is answered at once.

    Args:
        version: of this gateway.

    Raises:
        RpcError: there is no such method.
    """
    about = {"name": "sluice", "version": version}
    if not modern and message.method == "initialize":
        wanted = message.params.get("protocolVersion")
        return {
            "protocolVersion": wanted if wanted in LEGACY else LEGACY[0],
            "capabilities": {"tools": {}},
            "serverInfo": about,
            "instructions": INSTRUCTIONS,
        }
    if not modern and message.method == "ping":
        return {}
    if modern and message.method == "server/discover":
        return {
            "resultType": "complete",
            "supportedVersions": [*MODERN, *LEGACY],
            "capabilities": {"tools": {}},
            "instructions": INSTRUCTIONS,
            "ttlMs": LIST_TTL_MS,
            "cacheScope": "private",
            "_meta": {SERVER_META: about},
        }
    status = 404 if modern else 200
    raise RpcError(
        METHOD_NOT_FOUND, f"There is no method {str(message.method)[:64]!r} here.", status=status, id=message.id
    )


def for_client(result: Mapping[str, Any], *, modern: bool) -> Json:
    """A server's result in the client's revision."""
    if modern:
        return {"resultType": "complete", **result}
    return {name: value for name, value in result.items() if name != "resultType"}
