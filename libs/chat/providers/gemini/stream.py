"""Streams of Google's Gemini. Sans-I/O.

Source: the Gemini API reference, "Generating content": GenerateContentResponse.
"""

import secrets
from typing import cast

from contracts.usage import TokenUsage
from libs.chat.exact_json import encode
from libs.chat.providers.chunks import ChunkReader
from libs.chat.providers.gemini.errors import raise_for
from libs.chat.providers.gemini.usage import parse_usage
from libs.chat.providers.openai_chat.answer import finish_reason
from libs.chat.providers.protocol import (
    parse_event,
)
from libs.chat.shapes.completion import Chunk, Delta, ToolCall
from libs.chat.shapes.gemini import Candidate, GeminiAnswer, Part, Usage

_REFUSALS = ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")
_FINISH_REASONS = {"MAX_TOKENS": "length", **dict.fromkeys(_REFUSALS, "content_filter")}
"""All others, those that are not known yet too, are ends of an answer: a client raises an error for a filter."""


class GeminiReader(ChunkReader):
    """Reads a stream of answers, each with more parts, as chat chunks. It is never `done`: the connection ends it."""

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._counts: Usage = {}
        self._begun: set[int] = set()
        self._calls: dict[int, int] = {}
        """How many tools each candidate has called."""

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""
        return parse_usage(self._counts) if self.finished else None

    def read(self, data: str) -> list[Chunk]:
        """See `libs.chat.providers.protocol.Reader`."""
        return self.read_object(cast("GeminiAnswer", parse_event(data)))

    def read_object(self, found: GeminiAnswer) -> list[Chunk]:
        """Takes one answer of a stream, or the only one. Raises as `read` does."""
        raise_for(found)
        self._identify(found.get("responseId"))
        if isinstance(found.get("usageMetadata"), dict):
            self._counts = found["usageMetadata"]
        feedback = found.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self.finished = True
            refusal = f"The prompt was blocked: {feedback['blockReason']}."
            return [self._chunk({"role": "assistant", "refusal": refusal}, "content_filter")]
        chunks: list[Chunk] = []
        for candidate in found.get("candidates") or ():
            if isinstance(candidate, dict):
                chunks += self._candidate(candidate)
        return chunks

    def _candidate(self, candidate: Candidate) -> list[Chunk]:
        index = candidate.get("index") or 0
        deltas = [self._delta(index, part) for part in (candidate.get("content") or {}).get("parts") or ()]
        chunks = [self._chunk(delta, index=index) for delta in deltas if delta]
        if chunks and index not in self._begun:
            self._begun.add(index)
            chunks[0]["choices"][0]["delta"] = {"role": "assistant", **chunks[0]["choices"][0]["delta"]}
        reason = candidate.get("finishReason")
        if reason:
            self.finished = True
            finish = finish_reason(_FINISH_REASONS.get(reason, "stop"), self._calls.get(index))
            chunks.append(self._chunk({}, finish, index=index))
        return chunks

    def _delta(self, index: int, part: Part) -> Delta:
        signature = part.get("thoughtSignature")
        call = part.get("functionCall")
        if isinstance(call, dict):
            number = self._calls[index] = self._calls.get(index, 0) + 1
            arguments = encode(call.get("args") or {})
            piece: ToolCall = {
                "index": number - 1,
                "id": call.get("id") or f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": {"name": call.get("name"), "arguments": arguments},
            }
            if signature:
                # As Google's own chat completions have it.
                piece["extra_content"] = {"google": {"thought_signature": signature}}
            return {"tool_calls": [piece]}
        text = part.get("text")
        if not isinstance(text, str):
            return {}
        delta: Delta = {"reasoning_content": text} if part.get("thought") else {"content": text}
        if signature:
            delta["extra_content"] = {"google": {"thought_signature": signature}}
        return delta
