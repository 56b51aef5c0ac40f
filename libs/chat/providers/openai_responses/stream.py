"""Streams of OpenAI's Responses. Sans-I/O.

Source: the OpenAI API reference, "Streaming events".
"""

from typing import cast

from libs.chat.providers.chunks import ChunkReader
from libs.chat.providers.openai_responses.answer import finish_of, opaque_detail
from libs.chat.providers.openai_responses.errors import raise_for
from libs.chat.providers.openai_responses.usage import parse_usage
from libs.chat.providers.protocol import ProtocolError, parse_event
from libs.chat.shapes.completion import Chunk
from libs.chat.shapes.responses import ResponsesEvent


class ResponsesReader(ChunkReader):
    """Reads a response's events as chat chunks."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._calls: dict[int, int] = {}
        """Numbers of tool calls by their index in the output."""

    def read(self, data: str) -> list[Chunk]:
        """See `libs.chat.providers.protocol.Reader`."""
        event = cast("ResponsesEvent", parse_event(data))
        match event.get("type"):
            case "response.created":
                self._identify((event.get("response") or {}).get("id"))
                return [self._chunk({"role": "assistant", "content": ""})]
            case "response.output_text.delta":
                return [self._text("content", event.get("delta"))]
            case "response.refusal.delta":
                return [self._text("refusal", event.get("delta"))]
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return [self._text("reasoning_content", event.get("delta"))]
            case "response.output_item.added":
                return self._added(event)
            case "response.function_call_arguments.delta":
                return [self._arguments(self._calls.get(event.get("output_index", 0), 0), event.get("delta"))]
            case "response.output_item.done":
                item = event.get("item") or {}
                if item.get("type") == "reasoning" and item.get("encrypted_content"):
                    return [self._chunk({"reasoning_details": [opaque_detail(item)]})]
            case "response.completed" | "response.incomplete":
                response = event.get("response") or {}
                self._usage = parse_usage(response.get("usage"))
                self.done = True
                return [self._end(finish_of(response, incomplete=event["type"] == "response.incomplete"))]
            case "response.failed":
                response = event.get("response") or {}
                self._usage = parse_usage(response.get("usage"))
                raise_for(event)
            case "error":
                raise_for(event)
            case None:
                raise ProtocolError("an event has no type")
        return []

    def _added(self, event: ResponsesEvent) -> list[Chunk]:
        item = event.get("item") or {}
        if item.get("type") != "function_call":
            return []
        number = self._calls[event.get("output_index", 0)] = len(self._calls)
        return [self._call(number, item.get("call_id"), item.get("name"))]
