"""How much of a relay's memory a running attempt's prompt takes, and who may have how much of it. Pure."""

from contracts.routes import RoutePlanned
from libs.runtime.budget import Budget

MOST_HELD_BYTES = 512 * 1024 * 1024
"""Of the prompts of running attempts, as text, as objects and as what is sent: half of it for one owner, or for all
free requests together."""
CONTAINER_BYTES = 150
ITEM_BYTES = 40
"""What Python makes of ``[``, ``{`` and ``,``: a list or a dict, and a number of its own."""


def room_for_prompts() -> Budget:
    """That of one relay, unused."""
    return Budget(MOST_HELD_BYTES, MOST_HELD_BYTES // 2)


def held_for(route: RoutePlanned) -> str:
    """Who a prompt is held for."""
    return "free" if route.free else route.subject


def held_bytes(content: bytes) -> int:
    """What a prompt takes while its attempt runs."""
    containers = content.count(b"[") + content.count(b"{")
    return 3 * len(content) + CONTAINER_BYTES * containers + ITEM_BYTES * content.count(b",")
