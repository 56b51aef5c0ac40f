"""The requests of a stored session, byte by byte as the client sent them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAMES = ("claude_code", "codex")
HISTORY = ("messages", "input")
"""The field of a body that grows from turn to turn: of Messages, of Responses."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session. Each request repeats the beginning of the history, as agents do."""

    client: str
    """The package and its version."""
    path: str
    headers: dict[str, str]
    bodies: tuple[dict[str, Any], ...]

    def requests(self, model: str) -> list[bytes]:
        """The bodies, for a model."""
        return [written({**body, "model": model}) for body in self.bodies]


def written(body: Any) -> bytes:
    """JSON as both clients write it: no spaces, no escapes but the needed ones, keys in their own order."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def load(name: str) -> Session:
    """A stored session."""
    stored = json.loads((FOLDER / f"{name}.json").read_text())
    return Session(stored["client"], stored["path"], stored["headers"], tuple(bodies_of(stored)))


def bodies_of(stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The body of each request of what is stored once."""
    body, items = stored["body"], stored["items"]
    field = next(name for name in HISTORY if name in body)
    return [{**body, field: history(items[:count], cached=field == "messages")} for count in stored["turns"]]


def history(items: list[Any], *, cached: bool) -> list[Any]:
    """What one request repeats. Claude Code marks the end of it for the cache, anew in each request."""
    if not cached:
        return items
    last = items[-1]
    content = last["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    marked = [*blocks[:-1], {**blocks[-1], "cache_control": {"type": "ephemeral"}}]
    return [*items[:-1], {**last, "content": marked}]
