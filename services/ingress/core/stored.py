"""Which responses are stored, and what a request that goes on with one becomes. Pure: a fold over the index's topic.

All ingresses fold the same records in the same order, so they agree on what made way for newer ones.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from contracts.responses import ResponseBegun, ResponseDeleted, ResponseStored, StoreEvent
from libs.chat.surfaces.references import resolved
from services.ingress.core.errors import BadRequest

DEFAULT_PAGE = 20
MOST_PAGE = 100


class Position(NamedTuple):
    """Where a sealed response lies."""

    partition: int
    offset: int
    sealed_bytes: int
    expires_at_ms: int


@dataclass(slots=True)
class _Owned:
    positions: "OrderedDict[str, Position]" = field(default_factory=OrderedDict)
    """By locator, the oldest first."""
    sealed_bytes: int = 0
    begun: "OrderedDict[str, ResponseBegun]" = field(default_factory=OrderedDict)
    """By locator, the oldest first: those that are, or were lately, made in the background."""

    def drop(self, locator: str) -> None:
        position = self.positions.pop(locator, None)
        self.sealed_bytes -= position.sealed_bytes if position else 0


class StoredIndex:
    """The stored responses of all owners, each at most so many and so large: the oldest make way."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        """
        Args:
            most: responses of an owner.
            most_bytes: of all of them, sealed.
        """
        self._most = most
        self._most_bytes = most_bytes
        self._owners: dict[str, _Owned] = {}

    def apply(self, event: StoreEvent) -> None:
        """Takes in the next record of the topic."""
        owned = self._owners.setdefault(event.owner, _Owned())
        if isinstance(event, ResponseBegun):
            owned.begun[event.locator] = event
            if len(owned.begun) > self._most:
                owned.begun.popitem(last=False)
            return
        owned.drop(event.locator)
        if isinstance(event, ResponseDeleted):
            owned.begun.pop(event.locator, None)
        # One that is too large by itself must not cost its owner all others.
        if isinstance(event, ResponseStored) and event.sealed_bytes <= self._most_bytes:
            position = Position(event.partition, event.offset, event.sealed_bytes, event.expires_at_ms)
            owned.positions[event.locator] = position
            owned.sealed_bytes += position.sealed_bytes
        while len(owned.positions) > self._most or owned.sealed_bytes > self._most_bytes:
            owned.drop(next(iter(owned.positions)))
        if not (owned.positions or owned.begun):
            del self._owners[event.owner]

    def begun(self, owner: str, locator: str, now_ms: int) -> ResponseBegun | None:
        """An owner's response that is being made in the background, or was lately."""
        owned = self._owners.get(owner)
        found = owned.begun.get(locator) if owned else None
        return found if found and found.expires_at_ms > now_ms else None

    def find(self, owner: str, locator: str, now_ms: int) -> Position | None:
        """Where an owner's response lies; None where it is not stored, or not any more."""
        owned = self._owners.get(owner)
        position = owned.positions.get(locator) if owned else None
        return position if position and position.expires_at_ms > now_ms else None

    def expire(self, now_ms: int) -> None:
        """Forgets what the log does not keep any more. An owner's expire in the order in which they came."""
        for owner, owned in list(self._owners.items()):
            while owned.positions and next(iter(owned.positions.values())).expires_at_ms <= now_ms:
                owned.drop(next(iter(owned.positions)))
            while owned.begun and next(iter(owned.begun.values())).expires_at_ms <= now_ms:
                owned.begun.popitem(last=False)
            if not (owned.positions or owned.begun):
                del self._owners[owner]


def continued(body: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A request that goes on with a stored response, with all that it stands for in full. Instructions do not go on.

    Args:
        body: as the client sent it.
        stored: ``input`` and ``response``, as the relay kept them.
    """
    before = [*stored["input"], *resolved(stored["response"].get("output") or [], kept_by_provider=True)]
    found = {name: value for name, value in body.items() if name != "previous_response_id"}
    return {**found, "input": [*map(_without_id, before), *items_of(body.get("input"))]}


def items_of(given: Any) -> list[Any]:
    """A request's input as items."""
    if isinstance(given, list):
        return given
    if given is None:
        return []
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": str(given)}]}]


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    """Messages and calls need no ID, which a provider could look up."""
    kind = item.get("type")
    bare = kind in ("message", "function_call") or (kind is None and "role" in item)
    return {name: value for name, value in item.items() if name != "id"} if bare else item


def page_of(stored: Mapping[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """``GET /responses/{id}/input_items``, as OpenAI has it: the newest first, unless ``order=asc``.

    Raises:
        BadRequest: a parameter is wrong.
    """
    limit, order, after = asked.get("limit", str(DEFAULT_PAGE)), asked.get("order", "desc"), asked.get("after")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:4]) <= MOST_PAGE) or order not in ("asc", "desc"):
        raise BadRequest(f"`limit` is a whole number from 1 to {MOST_PAGE}, and `order` is asc or desc.")
    items = [_with_id(item, number) for number, item in enumerate(stored["input"])]
    if order == "desc":
        items.reverse()
    names = [item["id"] for item in items]
    if after is not None:
        if after not in names:
            raise BadRequest("`after` is the ID of none of the items.")
        items = items[names.index(after) + 1 :]
    page = items[: int(limit)]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, **ends, "has_more": len(items) > len(page)}


def _with_id(item: dict[str, Any], number: int) -> dict[str, Any]:
    """Clients name items by their IDs; what came without one has its position for an ID."""
    kind = item.get("type") or "message"
    return {
        "id": f"{kind}_{number}",
        "type": kind,
        **{name: value for name, value in item.items() if value is not None},
    }
