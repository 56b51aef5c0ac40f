"""What of a thought only its model can read: signatures and encrypted text, which must come back unchanged. Pure.

Chat completions have it in ``reasoning_details`` (OpenRouter's shape) and a tool call's ``extra_content`` (Google's).
Clients of Messages and Responses have one opaque field for it, which they send back as it is; what they have no place
for travels in that field, marked as ours.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeGuard, cast

from libs.chat.exact_json import decode, encode
from libs.chat.shapes.completion import Delta, Detail, ExtraContent, JsonObject, ToolCall

MARK = "sluice."


@dataclass(slots=True)
class Carried:
    """What one opaque field holds."""

    details: list[Detail] = field(default_factory=list)
    calls: dict[str, ExtraContent] = field(default_factory=dict)
    """``extra_content`` by the ID of its tool call."""

    def __bool__(self) -> bool:
        return bool(self.calls) or any(is_opaque(detail) for detail in self.details)

    def sealed(self) -> str:
        """As it travels. It is no secret: the client could see all of it in chat completions."""
        content = {"details": self.details, "calls": self.calls}
        return MARK + base64.urlsafe_b64encode(encode(content).encode()).decode()


def opened(text: object) -> Carried | None:
    """What a field holds; None where it is not one of ours."""
    if not is_ours(text):
        return None
    try:
        found = decode(base64.urlsafe_b64decode(text.removeprefix(MARK)))
    except ValueError:
        return Carried()
    details = found.get("details") if isinstance(found, dict) else None
    calls = found.get("calls") if isinstance(found, dict) else None
    return Carried(
        [cast("Detail", detail) for detail in details if isinstance(detail, dict)] if isinstance(details, list) else [],
        calls if isinstance(calls, dict) else {},
    )


def is_ours(text: object) -> TypeGuard[str]:
    """Nobody else can read it: a provider must not be sent it."""
    return isinstance(text, str) and text.startswith(MARK)


def is_opaque(detail: Detail) -> bool:
    """The model wants it back."""
    return bool(detail.get("signature") or detail.get("data"))


def details_of(said: Delta) -> list[Detail]:
    """Of a message, or a chunk's delta."""
    return [detail for detail in said.get("reasoning_details") or () if isinstance(detail, dict)]


def carried_by(call: ToolCall) -> Carried:
    """What a tool call holds."""
    extra = call.get("extra_content")
    return Carried(calls={str(call.get("id")): extra} if extra else {})


def for_claude(said: Delta) -> Iterator[Detail]:
    """The details that Claude takes back; those with an ID are OpenAI's."""
    return (detail for detail in details_of(said) if is_opaque(detail) and not detail.get("id"))


def add(details: list[Detail], pieces: Iterable[Detail]) -> None:
    """Adds a stream's pieces to what came before, by their index."""
    for piece in pieces:
        known = next((one for one in details if one.get("index", -1) == piece.get("index")), None)
        if known is None:
            details.append(piece.copy())
            continue
        _grow(cast("JsonObject", known), cast("JsonObject", piece))


def _grow(known: JsonObject, piece: JsonObject) -> None:
    for name, value in piece.items():
        grows = name in ("text", "summary", "data", "signature") and isinstance(known.get(name), str)
        known[name] = known[name] + value if grows and isinstance(value, str) else value
