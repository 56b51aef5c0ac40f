"""Streams of AWS Bedrock's Converse. Sans-I/O.

Source: the Bedrock API reference, "ConverseStream".
"""

from typing import cast

from libs.chat.providers.bedrock_converse.answer import detail_of, finish_of
from libs.chat.providers.bedrock_converse.errors import raise_for
from libs.chat.providers.bedrock_converse.usage import parse_usage
from libs.chat.providers.chunks import ChunkReader
from libs.chat.providers.protocol import (
    ProtocolError,
    parse_event,
)
from libs.chat.shapes.completion import Chunk, Detail
from libs.chat.shapes.converse import BlockEvent, MetadataEvent, StopEvent


class ConverseReader(ChunkReader):
    """Reads Converse's events as chat chunks."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._calls = -1

    def read(self, data: str) -> list[Chunk]:
        """See `libs.chat.providers.protocol.Reader`."""
        event = parse_event(data)
        raise_for(event)
        for kind, content in event.items():
            if not isinstance(content, dict):
                raise ProtocolError("an event has no content")
            match kind:
                case "messageStart":
                    return [self._chunk({"role": "assistant", "content": ""})]
                case "contentBlockStart":
                    return self._started(cast("BlockEvent", content))
                case "contentBlockDelta":
                    return self._grown(cast("BlockEvent", content))
                case "messageStop":
                    return [self._end(finish_of(cast("StopEvent", content).get("stopReason")))]
                case "metadata":
                    self._usage = parse_usage(cast("MetadataEvent", content).get("usage"))
                    self.done = True
                case "contentBlockStop":
                    pass
        return []

    def _started(self, event: BlockEvent) -> list[Chunk]:
        use = (event.get("start") or {}).get("toolUse")
        if not isinstance(use, dict):
            return []
        self._calls += 1
        return [self._call(self._calls, use.get("toolUseId"), use.get("name"))]

    def _grown(self, event: BlockEvent) -> list[Chunk]:
        delta, index = event.get("delta") or {}, event.get("contentBlockIndex") or 0
        if "text" in delta:
            return [self._text("content", delta["text"])]
        if "toolUse" in delta:
            return [self._arguments(self._calls, cast("str | None", delta["toolUse"].get("input")))]
        thought = delta.get("reasoningContent")
        if not isinstance(thought, dict):
            return []
        if "text" in thought:
            return [self._thought(thought["text"], index)]
        detail: Detail
        if "signature" in thought:
            detail = {"type": "reasoning.text", "signature": thought["signature"]}
        else:
            detail = detail_of(thought)
        return [self._chunk({"reasoning_details": [{**detail, "index": index}]})]
