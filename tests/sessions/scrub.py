"""Takes prose, names of machines and identities out of recorded requests; what is left is their shape."""

import json
import re
from typing import Any

from tests.sessions.replay import HISTORY, bodies_of, written

DROPPED = frozenset({"host", "content-length", "connection", "authorization", "x-api-key"})
"""Headers that belong to a connection or an account."""
SPOKEN = 400
"""Texts of instructions that are longer become their length; what the session itself says is shorter."""
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DEVICE = re.compile(r"[0-9a-f]{64}")


class Scrubber:
    """Scrubs one session: each identity becomes a number, the same in all requests."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._ids: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text without identities and folders."""
        text = _ID.sub(self._number, text.replace(self._folder, "/home/dev/shop"))
        return _DEVICE.sub("0" * 64, text)

    def value(self, value: Any, *, prose: bool = False) -> Any:
        """A JSON value; within descriptions and instructions, texts become their length."""
        if isinstance(value, str):
            return f"({len(value)} characters)" if prose and len(value) > SPOKEN // 10 else self.text(value)
        if isinstance(value, list):
            return [self.value(one, prose=prose) for one in value]
        if not isinstance(value, dict):
            return value
        spoken = value.get("role") in ("system", "developer") or _is_reminder(value)
        return {
            self.text(name): self.value(
                inner, prose=name == "description" or (name in ("text", "content") and (prose or spoken))
            )
            if name != "description" or isinstance(inner, str)
            else self.value(inner)
            for name, inner in value.items()
        }

    def _number(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found.group(), f"00000000-0000-4000-8000-{len(self._ids):012}")


def _is_reminder(value: dict[str, Any]) -> bool:
    """A text of the program, not of its user or a tool."""
    text = value.get("text")
    return isinstance(text, str) and ("<system-reminder>" in text or "<environment_context>" in text)


def stored(client: str, folder: str, recorded: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of recorded requests (``path``, ``query``, ``headers``, ``body``), once each.

    Raises:
        ValueError: it does not give back what was recorded.
    """
    scrubber = Scrubber(folder)
    bodies = []
    for one in recorded:
        body = json.loads(one["body"])
        if written(body) != one["body"].encode():
            raise ValueError("the client writes JSON in another form")
        bodies.append(scrubber.value({**body, "system": _prose(body["system"])} if "system" in body else body))
    field = next(name for name in HISTORY if name in bodies[0])
    headers = {name: scrubber.text(value) for name, value in recorded[0]["headers"] if name not in DROPPED}
    kept = {
        "client": client,
        "path": recorded[0]["path"] + (f"?{recorded[0]['query']}" if recorded[0]["query"] else ""),
        "headers": headers,
        "body": {**bodies[0], field: []},
        "turns": [len(body[field]) for body in bodies],
        "items": [_unmarked(item) for item in bodies[-1][field]],
    }
    if bodies_of(kept) != bodies:
        raise ValueError("a request is not the beginning of the last one")
    return kept


def _prose(system: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**block, "text": f"({len(block['text'])} characters)"} if len(block["text"]) > SPOKEN // 4 else block
        for block in system
    ]


def _unmarked(item: dict[str, Any]) -> dict[str, Any]:
    content = item.get("content")
    if not isinstance(content, list) or "cache_control" not in json.dumps(content):
        return item
    return {**item, "content": [{k: v for k, v in block.items() if k != "cache_control"} for block in content]}
