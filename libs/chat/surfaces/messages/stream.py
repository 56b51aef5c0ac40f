"""Streams of Anthropic's Messages. Sans-I/O.

Source: the Anthropic API reference, "Streaming Messages".
"""

from typing import cast

from libs.chat.shapes.completion import Chunk, Delta, Detail, ToolCall
from libs.chat.shapes.messages import Block, MessagesAnswer
from libs.chat.surfaces.messages.answer import (
    STOP_REASONS,
    message_id,
    not_claude_s,
    redacted_of,
    signature_of,
    thinking_block,
    usage_json,
)
from libs.chat.surfaces.thoughts import carried_by, details_of
from libs.chat.surfaces.turns import Piece, Turns
from libs.chat.surfaces.writer import (
    named_event,
)


class MessagesWriter:
    """A stream of chat chunks as the events of a message: blocks that open, grow and close, one after the other."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._begun = False
        self._block = -1
        self._open: str | None = None
        self._turns = Turns()
        self._reason = "end_turn"

    def chunk(self, chunk: Chunk) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        pieces, reason = self._turns.of_chunk(chunk)
        if reason:
            self._reason = STOP_REASONS.get(reason, "end_turn")
        return self._begin(chunk) + "".join(map(self._write, pieces))

    def finish(self, tail: Chunk | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        out = self._begin(tail or {}) + "".join(map(self._write, self._turns.rest())) + self._close()
        delta = {"stop_reason": self._reason, "stop_sequence": None}
        out += named_event({"type": "message_delta", "delta": delta, "usage": usage_json((tail or {}).get("usage"))})
        return out + named_event({"type": "message_stop"})

    def _begin(self, chunk: Chunk) -> str:
        if self._begun:
            return ""
        self._begun = True
        message: MessagesAnswer = {
            "id": message_id(chunk),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_json(None),
        }
        return named_event({"type": "message_start", "message": message})

    def _write(self, piece: Piece) -> str:
        kind, content = piece
        match kind:
            case "reasoning":
                return self._grow("thinking", thinking_block("", None), cast("str", content))
            case "details":
                return self._details({"reasoning_details": cast("list[Detail]", content)})
            case "content" | "refusal":
                return self._grow("text", {"type": "text", "text": ""}, cast("str", content))
            case _:
                return self._call(f"call {kind}", cast("ToolCall", content))

    def _details(self, delta: Delta) -> str:
        out = ""
        if (signature := signature_of(delta)) and self._open == "thinking":
            out += self._sign(signature)
        if carried := not_claude_s(details_of(delta)):
            if self._open != "thinking":
                out += self._close() + self._start("thinking", thinking_block("", None))
            out += self._sign(carried.sealed())
        for data in redacted_of(delta):
            out += self._close() + self._start("redacted", {"type": "redacted_thinking", "data": data})
        return out

    def _grow(self, kind: str, block: Block, text: str) -> str:
        out = ""
        if self._open != kind:
            out = self._close() + self._start(kind, block)
        delta = {"type": f"{kind}_delta", kind: text}
        return out + named_event({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _call(self, kind: str, call: ToolCall) -> str:
        out, function = "", call.get("function") or {}
        if self._open != kind:
            if carried := carried_by(call):
                out += self._close() + self._start("thinking", thinking_block("", None)) + self._sign(carried.sealed())
            block: Block = {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": {},
            }
            out += self._close() + self._start(kind, block)
        if function.get("arguments"):
            delta = {"type": "input_json_delta", "partial_json": function["arguments"]}
            out += named_event({"type": "content_block_delta", "index": self._block, "delta": delta})
        return out

    def _sign(self, signature: str) -> str:
        delta = {"type": "signature_delta", "signature": signature}
        return named_event({"type": "content_block_delta", "index": self._block, "delta": delta})

    def _start(self, kind: str, block: Block) -> str:
        self._block += 1
        self._open = kind
        return named_event({"type": "content_block_start", "index": self._block, "content_block": block})

    def _close(self) -> str:
        if self._open is None:
            return ""
        self._open = None
        return named_event({"type": "content_block_stop", "index": self._block})
