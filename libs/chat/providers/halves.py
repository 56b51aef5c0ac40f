"""Joins the characters that a provider's stream has cut in half. Sans-I/O.

A half that stays alone is replaced when its text ends.
"""

from collections.abc import Iterator
from typing import cast

from libs.chat.shapes.completion import Chunk, JsonObject
from libs.chat.surrogates import LONE, Halves, Key

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_BLOCK_TEXTS = ("text", "thinking", "partial_json")


class ChunkJoiner:
    """Of chat chunks, in which several texts grow."""

    def __init__(self) -> None:
        self._halves = Halves()

    def __bool__(self) -> bool:
        return bool(self._halves)

    def join(self, chunk: Chunk) -> None:
        """Changes a chunk's texts to what the client can be sent now."""
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict) and isinstance(choice.get("delta"), dict):
                self._join(
                    cast("JsonObject", choice["delta"]), choice.get("index"), finished=bool(choice.get("finish_reason"))
                )

    def _join(self, delta: JsonObject, index: int | None, *, finished: bool) -> None:
        grown: set[Key] = set()
        for key, holder, name in _pieces(delta, index):
            if holder[name]:
                grown.add(key)
                holder[name] = self._halves.join(key, holder[name])
        goes_on = bool(grown or delta.get("tool_calls"))

        def ended(key: Key) -> bool:
            # Parallel calls may take turns; a text ends where another begins.
            return key[0] == index and (finished or (goes_on and key not in grown and key[1] != "tool_calls"))

        for key in self._halves.end(ended):
            _replace(delta, key)


def _pieces(delta: JsonObject, index: int | None) -> Iterator[tuple[Key, JsonObject, str]]:
    """Each growing text of a choice: its key, and where its next piece is."""
    for name in _TEXTS:
        if isinstance(delta.get(name), str):
            yield (index, name), delta, name
    for detail in delta.get("reasoning_details") or ():
        if isinstance(detail, dict) and isinstance(detail.get("text"), str):
            yield (index, "reasoning_details", detail.get("type"), detail.get("index")), detail, "text"
    for call in delta.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            yield (index, "tool_calls", call.get("index")), function, "arguments"


def _replace(delta: JsonObject, key: Key) -> None:
    """Adds the replacement of a lone half to a delta."""
    match key:
        case (_, "tool_calls", number):
            piece: JsonObject = {"index": number, "function": {"arguments": LONE}}
        case (_, "reasoning_details", kind, number):
            piece = {"type": kind, "index": number, "text": LONE}
        case _:
            delta[str(key[1])] = (delta.get(str(key[1])) or "") + LONE
            return
    delta[str(key[1])] = [*(delta.get(str(key[1])) or ()), piece]


class EventJoiner:
    """Of Messages' and Responses' events, which bring one piece each."""

    def __init__(self) -> None:
        self._halves = Halves()

    def __bool__(self) -> bool:
        return bool(self._halves)

    def join(self, event: JsonObject) -> list[JsonObject]:
        """Changes an event's text to what the client can be sent now; returns the events that go before it.

        A half that stays alone in Responses needs no event: the one that ends the text has all of it.
        """
        delta = event.get("delta")
        if isinstance(delta, str):
            names = ("type", "output_index", "content_index", "summary_index")
            event["delta"] = self._halves.join(tuple(event.get(name) for name in names), delta)
        elif isinstance(delta, dict):
            for name in _BLOCK_TEXTS:
                if isinstance(delta.get(name), str):
                    delta[name] = self._halves.join((event.get("index"), delta.get("type"), name), delta[name])
        elif event.get("type") == "content_block_stop":
            index = event.get("index")
            return [
                {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: LONE}}
                for _, kind, name in self._halves.end(lambda key: key[0] == index)
            ]
        return []
