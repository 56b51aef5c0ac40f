"""What messages of a chat completion hold, for protocols that have words of their own for it. Pure.

One rule: a setting that a protocol lacks is left out and named to the client (`libs.chat.providers.protocol.left_out`);
content that it lacks is refused. A model that is not shown what it is asked about answers all the same.
"""

from collections.abc import Collection
from typing import cast

from libs.chat.shapes.completion import ChatRequest, Message, Part
from libs.chat.surfaces.writer import SurfaceError, is_list_of_objects

ROLES = {"system": False, "developer": False, "user": True, "assistant": False, "tool": True}
"""Whose messages may have parts beside text."""
FILE_ID = "file_id"
"""Among types of parts: files of which only the ID is known, and that to OpenAI alone."""
_OF_OPENAI = ("function_call", "audio")
"""Content of a message beside ``content`` that no other protocol has."""


def translatable(chat: ChatRequest, kinds: Collection[str]) -> ChatRequest:
    """The request, whose messages hold only texts and parts that the protocol has; refusals become text.

    Args:
        kinds: types of parts beside text.

    Raises:
        SurfaceError: there is other content.
    """
    if not is_list_of_objects(chat.get("tools") or []):
        raise SurfaceError("`tools` must be a list of tools.")
    found = []
    for number, given in enumerate(chat["messages"]):
        place = f"messages[{number}]"
        message = _message(given, place, ())
        role, content = str(message.get("role")), message.get("content")
        if role not in ROLES:
            raise SurfaceError(f"`{place}.role` must be one of {', '.join(ROLES)} for this model.")
        if isinstance(content, list):
            may_have = kinds if ROLES[role] else ()
            parts = [_part(part, f"{place}.content[{at}]", may_have) for at, part in enumerate(content)]
            message = {**message, "content": parts}
        found.append(message)
    return {**chat, "messages": found}


def in_fields(chat: ChatRequest, fields: Collection[str]) -> ChatRequest:
    """The request for a provider that takes only these fields of a message, with no content in others.

    Raises:
        SurfaceError: there is content in a field that it does not take.
    """
    given = chat.get("messages")
    if not fields or not isinstance(given, list):
        return chat
    return {**chat, "messages": [_message(one, f"messages[{number}]", fields) for number, one in enumerate(given)]}


def _message(message: object, place: str, fields: Collection[str]) -> Message:
    if not isinstance(message, dict):
        raise SurfaceError(f"`{place}` must be an object.")
    for name in _OF_OPENAI:
        if message.get(name) and name not in fields:
            raise SurfaceError(f"`{place}.{name}` cannot be sent to this model.")
    refusal, content = message.get("refusal"), message.get("content")
    if not isinstance(content, str | list | None):
        raise SurfaceError(f"`{place}.content` must be text or a list of parts.")
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(part, dict):
            raise SurfaceError(f"`{place}.content[{number}]` must be an object with a `type`.")
    if not refusal or "refusal" in fields:
        return cast("Message", message)
    kept = cast("Message", {name: value for name, value in message.items() if name != "refusal"})
    if isinstance(content, list):
        return {**kept, "content": [*content, {"type": "text", "text": str(refusal)}]}
    return {**kept, "content": (content or "") + str(refusal)}


def _part(part: Part, place: str, kinds: Collection[str]) -> Part:
    kind = str(part.get("type"))
    if kind == "refusal":
        return {"type": "text", "text": str(part.get("refusal") or "")}
    if kind == "text" or (kind in kinds and _is_whole(part.get(kind), kinds)):
        return part
    raise SurfaceError(f"`{place}` of type {kind[:50]!r}, or in this form, cannot be sent to this model.")


def _is_whole(held: object, kinds: Collection[str]) -> bool:
    """An image's address, or an object with an address, bytes, or an ID that the protocol knows."""
    if not isinstance(held, dict):
        return isinstance(held, str) and bool(held)
    names = ("url", "data", "file_data", FILE_ID) if FILE_ID in kinds else ("url", "data", "file_data")
    return any(isinstance(held.get(name), str) and held[name] for name in names)
