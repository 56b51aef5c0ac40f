"""The pieces of a stream in an order in which one text or tool call ends before another begins. Pure.

In chat completions the pieces of parallel calls may take turns; in Messages and Responses one item follows the other.
"""

from collections.abc import Iterator
from typing import Literal, cast

from libs.chat.exact_json import decode
from libs.chat.shapes.completion import Chunk, Delta, Detail, ToolCall
from libs.chat.surfaces.thoughts import details_of
from libs.chat.surfaces.writer import reasoning_of, text_of

Kind = Literal["reasoning", "details", "content", "refusal"] | int
"""What grows; a tool call is its index."""
Content = str | list[Detail] | ToolCall
"""Texts grow by texts, ``details`` by details, a tool call by its pieces."""
Piece = tuple[Kind, Content]


def pieces_of(delta: Delta) -> Iterator[Piece]:
    """The pieces that a chunk's delta brings: texts, details of thoughts, and tool calls as they are."""
    if thought := reasoning_of(delta):
        yield "reasoning", thought
    if details := details_of(delta):
        yield "details", details
    if text := text_of(delta.get("content")):
        yield "content", text
    if refusal := str(delta.get("refusal") or ""):
        yield "refusal", refusal
    for call in delta.get("tool_calls") or ():
        yield call.get("index") or 0, call


class Turns:
    """Holds back what comes while a tool call is unfinished. Calls that do not take turns are not delayed."""

    def __init__(self) -> None:
        self._turn: Kind | None = None
        self._arguments: list[str] = []
        """Of the call whose turn it is."""
        self._waiting: dict[Kind, list[Content]] = {}
        self._ended: set[Kind] = set()
        """Calls whose turn is over."""

    def of_chunk(self, chunk: Chunk) -> tuple[list[Piece], str | None]:
        """What of the answer's first choice may be written now, and why it ends, if it does.

        Messages and Responses have no other.
        """
        pieces: list[Piece] = []
        reason = None
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                for piece in pieces_of(choice.get("delta") or {}):
                    pieces += self.take(piece)
                reason = choice.get("finish_reason") or reason
        return pieces, reason

    def take(self, piece: Piece) -> list[Piece]:
        """The pieces whose turn it is now."""
        kind, content = piece
        if kind == self._turn:
            self._note(content)
            return [piece]
        if kind in self._ended:
            return []
        self._waiting.setdefault(kind, []).append(content)
        found: list[Piece] = []
        while self._waiting and self._is_over():
            found += self._next()
        return found

    def rest(self) -> list[Piece]:
        """All that still waits, at the end of the stream."""
        found: list[Piece] = []
        while self._waiting:
            found += self._next()
        return found

    def _next(self) -> list[Piece]:
        if isinstance(self._turn, int):
            self._ended.add(self._turn)
        kind = next(iter(self._waiting))
        self._turn, self._arguments = kind, []
        contents = self._waiting.pop(kind)
        for content in contents:
            self._note(content)
        return [(kind, content) for content in contents]

    def _note(self, content: Content) -> None:
        if isinstance(self._turn, int):
            call = cast("ToolCall", content)
            self._arguments.append((call.get("function") or {}).get("arguments") or "")

    def _is_over(self) -> bool:
        """Whether nothing is missing: a call has ended when its arguments are a JSON object."""
        if not isinstance(self._turn, int):
            return True
        text = "".join(self._arguments)
        if not text.rstrip().endswith("}"):
            return False
        try:
            return isinstance(decode(text), dict)
        except ValueError:
            return False
