"""Streams of OpenAI's chat completions. Sans-I/O.

Source: the OpenAI API reference, "Chat Completions": the chat completion chunk object.
"""

from typing import cast

from contracts.usage import TokenUsage
from libs.chat.providers.openai_chat.answer import finish_reason
from libs.chat.providers.openai_chat.errors import raise_for
from libs.chat.providers.openai_chat.usage import parse_usage, usage_json
from libs.chat.providers.protocol import (
    ProtocolError,
    parse_event,
)
from libs.chat.shapes.completion import Chunk, ChunkChoice
from libs.chat.surfaces.chat.stream import DONE


class ChatReader:
    """Reads a stream, event by event.

    The usage is held back for the `tail`, whatever the provider's habit.
    """

    def __init__(self, *, model: str) -> None:
        self._model = model
        self._tail: Chunk | None = None
        self._identity: Chunk = {}
        self._begun: set[str] = set()
        """Choices whose role was sent."""
        self._calling: set[str] = set()
        """Choices that have called tools."""
        self.usage: TokenUsage | None = None
        self.done = False
        self.finished = False
        """A choice gave its finish_reason."""

    def read(self, data: str) -> list[Chunk]:
        """Takes the ``data`` of one server-sent event; returns the chunks for the client, often one.

        Raises:
            ProtocolError: it is no chunk.
            ProviderFailure: it is an error.
        """
        if data == DONE:
            self.done = True
            return []
        event = parse_event(data)
        raise_for(event)
        chunk = cast("Chunk", event)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise ProtocolError("a chunk has no choices")
        chunk["model"] = self._model
        usage = chunk.pop("usage", None)
        if usage is not None:
            parsed = parse_usage(usage)
            if parsed is not None:
                self.usage = parsed
                self._tail = {**chunk, "choices": [], "usage": usage}
        if not self._identity:
            self._identity = cast("Chunk", {name: event[name] for name in ("id", "object", "created") if name in event})
        if not choices and usage is not None:
            return []
        for choice in choices:
            if isinstance(choice, dict):
                self._correct(choice)
        return [chunk]

    def _correct(self, choice: ChunkChoice) -> None:
        """The role is sent once: some providers have it in every chunk, and openai-python adds it up."""
        delta, index = choice.get("delta"), str(choice.get("index"))
        if isinstance(delta, dict):
            if delta.get("role"):
                if index in self._begun:
                    del delta["role"]
                self._begun.add(index)
            if delta.get("tool_calls"):
                self._calling.add(index)
        if choice.get("finish_reason"):
            self.finished = True
            choice["finish_reason"] = finish_reason(choice["finish_reason"], index in self._calling)

    def tail(self, counted: TokenUsage | None) -> Chunk | None:
        """The chunk with the usage and no choices.

        Args:
            counted: our own count, used where the provider gave none.
        """
        if self._tail is None and counted is not None:
            return {**self._identity, "model": self._model, "choices": [], "usage": usage_json(counted)}
        return self._tail
