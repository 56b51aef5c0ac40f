"""Server-sent events as tests read them."""

from typing import Any

import orjson


def named_events(text: str) -> list[dict[str, Any]]:
    """The content of each event, whose name is its type."""
    found = []
    for block in text.split("\n\n"):
        if block:
            name, data = block.split("\n")
            event = orjson.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
    return found
