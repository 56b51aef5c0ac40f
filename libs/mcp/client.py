"""The gateway as a client of a server: what is posted, and what an answer says. Sans-I/O.

A server that knows a revision without a handshake (2026-07-28) is asked once a call. To any other the gateway says
hello for each call and then goodbye: a session of one's own for each call, so that nobody has the state of another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import ascii_letters, digits
from typing import Any, TypeGuard

from contracts.mcp import MOST_TOOL_CHARACTERS, full_name
from libs.mcp import headers as names
from libs.mcp.envelope import Envelope
from libs.mcp.messages import (
    CAPABILITIES_META,
    CLIENT_META,
    LEGACY,
    MODERN,
    VERSION_META,
    Json,
    notification,
    request,
)
from libs.mcp.server import CALL, LIST
from libs.version import VERSION

ID = 1
"""Of the one request whose answer is waited for."""
HELLO_ID = 0
_ABOUT = {"name": "sluice", "version": VERSION}
_PASSED_ON = ("notifications/progress", "notifications/message")
_TOOL_CHARACTERS = frozenset(ascii_letters + digits + "._/-")


class AnswerError(ValueError):
    """What the server sent is no MCP."""


@dataclass(frozen=True, slots=True, repr=False)
class Post:
    """One POST to a server."""

    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Session:
    """How a server is spoken with."""

    revision: str
    id: str | None = None
    """Of a session that was begun for one call."""

    @property
    def modern(self) -> bool:
        """Without a handshake."""
        return self.revision in MODERN


STATELESS = Session(MODERN[0])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has answered: a result, or an error of its own."""

    result: Json | None = None
    error: Json | None = None


@dataclass(slots=True)
class Reading:
    """Takes the messages that come in answer to a POST, until the one that is waited for has come."""

    id: int = ID
    answer: Answer | None = None
    notifications: list[Json] = field(default_factory=list)
    """Notifications for the client, that nobody has taken yet."""

    def take(self, message: object) -> None:
        """One message. What a server asks its client is not answered: the gateway has said that it cannot.

        Raises:
            AnswerError: it is no message.
        """
        if not isinstance(message, dict):
            raise AnswerError("it is no message")
        if message.get("method") in _PASSED_ON and isinstance(message.get("params"), dict):
            self.notifications.append({"jsonrpc": "2.0", "method": message["method"], "params": message["params"]})
        if message.get("id") != self.id or isinstance(message.get("id"), bool) or "method" in message:
            return
        result, error = message.get("result"), message.get("error")
        if isinstance(result, dict):
            self.answer = Answer(result)
        elif isinstance(error, dict) and isinstance(error.get("code"), int) and isinstance(error.get("message"), str):
            self.answer = Answer(error=error)
        else:
            raise AnswerError("it has neither a result nor an error")


def discover() -> Post:
    """Asks which revisions a server speaks. It changes nothing there, whatever it speaks."""
    return Post(request(HELLO_ID, "server/discover", {"_meta": _meta({})}), _headers(STATELESS, "server/discover"))


def speaks_modern(answer: Answer | None) -> bool:
    """The answer to `discover` is one of a server without a handshake."""
    versions = answer.result.get("supportedVersions") if answer and answer.result else None
    return isinstance(versions, list) and MODERN[0] in versions


def initialize() -> Post:
    """The first of a handshake."""
    params = {"protocolVersion": LEGACY[0], "capabilities": {}, "clientInfo": _ABOUT}
    return Post(request(HELLO_ID, "initialize", params), {"Accept": names.ACCEPT})


def begun(answer: Answer | None, session_id: str | None) -> Session:
    """The session that a server has begun.

    Raises:
        AnswerError: it has not, or in a revision that is not spoken here.
    """
    revision = answer.result.get("protocolVersion") if answer and answer.result else None
    if revision not in LEGACY:
        raise AnswerError("it speaks no revision that is spoken here")
    if session_id is not None and not (session_id.isascii() and session_id.isprintable() and len(session_id) <= 1_024):
        raise AnswerError("its session has no proper name")
    return Session(str(revision), session_id)


def initialized(session: Session) -> Post:
    """The second of a handshake."""
    return Post(notification("notifications/initialized"), _headers(session))


def goodbye(session: Session) -> Mapping[str, str]:
    """The headers of the DELETE that ends a session."""
    return _headers(session)


def call(session: Session, tool: str, envelope: Envelope) -> Post:
    """Calls a tool."""
    params: Json = {"name": tool, **envelope.params}
    if session.modern:
        meta = _meta(envelope.capabilities)
        headers = {**_headers(session, CALL), names.NAME: names.encoded(tool), **envelope.headers}
    else:
        # Before 2026-07-28 nobody asks back.
        params = {name: params[name] for name in ("name", "arguments") if name in params}
        meta, headers = {}, _headers(session)
    if envelope.progress_token is not None:
        meta = {**meta, "progressToken": envelope.progress_token}
    return Post(request(ID, CALL, {**params, "_meta": meta} if meta else params), headers)


def listing(session: Session, cursor: str | None) -> Post:
    """Asks for tools.

    Args:
        cursor: of the page; None: the first.
    """
    params: Json = {} if cursor is None else {"cursor": cursor}
    if session.modern:
        params["_meta"] = _meta({})
    return Post(request(ID, LIST, params), _headers(session, LIST))


def tools_of(result: Mapping[str, Any], server: str) -> Iterator[tuple[str, Json]]:
    """The tools of a page, each by its own name, and as clients see it. What has no proper name is left out."""
    tools = result.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        name = tool.get("name") if isinstance(tool, dict) else None
        if is_tool_name(name):
            yield name, {**tool, "name": full_name(server, name)}


def is_tool_name(name: object) -> TypeGuard[str]:
    """A tool may be called so; see `contracts.mcp.ToolName`."""
    return isinstance(name, str) and 0 < len(name) <= MOST_TOOL_CHARACTERS and _TOOL_CHARACTERS.issuperset(name)


def next_page(result: Mapping[str, Any]) -> str | None:
    """The cursor of the page after this one."""
    cursor = result.get("nextCursor")
    return cursor if isinstance(cursor, str) and cursor else None


def _meta(capabilities: Json) -> Json:
    return {VERSION_META: MODERN[0], CLIENT_META: _ABOUT, CAPABILITIES_META: capabilities}


def _headers(session: Session, method: str | None = None) -> dict[str, str]:
    found = {"Accept": names.ACCEPT, names.VERSION: session.revision}
    if session.modern and method:
        found[names.METHOD] = method
    if session.id is not None:
        found[names.SESSION] = session.id
    return found
