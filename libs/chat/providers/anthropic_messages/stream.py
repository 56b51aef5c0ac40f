"""Streams of Anthropic's Messages. Sans-I/O.

Source: the Anthropic API reference, "Streaming Messages".
"""

from typing import cast

from contracts.usage import TokenUsage
from libs.chat.providers.anthropic_messages.answer import detail_of, finish_of
from libs.chat.providers.anthropic_messages.errors import raise_for
from libs.chat.providers.anthropic_messages.usage import parse_usage
from libs.chat.providers.chunks import ChunkReader
from libs.chat.providers.protocol import ProtocolError, parse_event
from libs.chat.shapes.completion import Chunk, Detail
from libs.chat.shapes.messages import Block, MessagesDelta, MessagesEvent, Usage
from libs.chat.surfaces.messages.content import THOUGHTS


class MessagesReader(ChunkReader):
    """Reads a message's events as chat chunks."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._counts: Usage = {}
        self._calls = -1
        self._thoughts = -1

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""
        return parse_usage(self._counts) if "output_tokens" in self._counts and self.finished else None

    def read(self, data: str) -> list[Chunk]:
        """See `libs.chat.providers.protocol.Reader`."""
        event = cast("MessagesEvent", parse_event(data))
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._identify(message.get("id"))
                self._counts |= message.get("usage") or {}
                return [self._chunk({"role": "assistant", "content": ""})]
            case "content_block_start":
                return self._started(event.get("content_block") or {})
            case "content_block_delta":
                return self._grown(event.get("delta") or {})
            case "message_delta":
                given = {name: n for name, n in (event.get("usage") or {}).items() if n is not None}
                self._counts |= cast("Usage", given)
                return [self._end(finish_of((event.get("delta") or {}).get("stop_reason")))]
            case "message_stop":
                self.done = True
            case "error":
                raise_for(event)
            case None:
                raise ProtocolError("an event has no type")
        return []

    def _started(self, block: Block) -> list[Chunk]:
        if block.get("type") == "tool_use":
            self._calls += 1
            return [self._call(self._calls, block.get("id"), block.get("name"))]
        if block.get("type") in THOUGHTS:
            self._thoughts += 1
        if block.get("type") == "redacted_thinking":
            return [self._chunk({"reasoning_details": [{**detail_of(block), "index": self._thoughts}]})]
        return []

    def _grown(self, delta: MessagesDelta) -> list[Chunk]:
        match delta.get("type"):
            case "text_delta":
                return [self._text("content", delta.get("text"))]
            case "thinking_delta":
                return [self._thought(delta.get("thinking"), self._thoughts)]
            case "signature_delta":
                signature = str(delta.get("signature"))
                detail: Detail = {"type": "reasoning.text", "signature": signature, "index": self._thoughts}
                return [self._chunk({"reasoning_details": [detail]})]
            case "input_json_delta":
                return [self._arguments(self._calls, delta.get("partial_json"))]
        return []
