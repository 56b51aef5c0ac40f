"""Chat completions and their chunks, as the adapters of other protocols write them. Sans-I/O."""

import secrets
from collections.abc import Sequence
from typing import Literal

from contracts.usage import TokenUsage
from libs.chat.providers.openai_chat.answer import finish_reason
from libs.chat.providers.openai_chat.usage import usage_json
from libs.chat.shapes.completion import Choice, Chunk, Completion, Delta, Detail, FunctionCall, Message, ToolCall


class ChunkReader:
    """What the readers of other protocols share: it identifies the answer and holds the usage back.

    See `libs.chat.providers.protocol.Reader`.
    """

    def __init__(self, *, model: str, created_s: int) -> None:
        self._identity: Chunk = {
            "id": f"gen_{secrets.token_hex(12)}",
            "object": "chat.completion.chunk",
            "created": created_s,
            "model": model,
        }
        self._usage: TokenUsage | None = None
        self._has_calls = False
        self.done = False
        self.finished = False

    @property
    def usage(self) -> TokenUsage | None:
        """The provider's counts, once they are complete."""
        return self._usage

    def tail(self, counted: TokenUsage | None) -> Chunk | None:
        """See `libs.chat.providers.protocol.Reader`."""
        usage = self.usage or counted
        return {**self._identity, "choices": [], "usage": usage_json(usage)} if usage else None

    def _identify(self, answer_id: str | None) -> None:
        """Takes the provider's own ID of the answer, if there is one."""
        self._identity["id"] = answer_id or self._identity["id"]

    def _text(self, name: Literal["content", "reasoning_content", "refusal"], text: str | None) -> Chunk:
        """A chunk with more of a text."""
        delta: Delta = {}
        delta[name] = str(text or "")
        return self._chunk(delta)

    def _thought(self, text: str | None, index: int) -> Chunk:
        """A chunk with more of a thought, which its signature will follow under the same index."""
        more = str(text or "")
        detail: Detail = {"type": "reasoning.text", "text": more, "index": index}
        return self._chunk({"reasoning_content": more, "reasoning_details": [detail]})

    def _call(self, number: int, call_id: str | None, name: str | None) -> Chunk:
        """A chunk with the beginning of a tool call."""
        self._has_calls = True
        function: FunctionCall = {"name": name, "arguments": ""}
        return self._chunk({"tool_calls": [{"index": number, "id": call_id, "type": "function", "function": function}]})

    def _arguments(self, number: int, text: str | None) -> Chunk:
        """A chunk with more of a tool call's arguments."""
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": str(text or "")}}]})

    def _end(self, reason: str) -> Chunk:
        """The chunk with which the model's text ends."""
        self.finished = True
        return self._chunk({}, finish_reason(reason, self._has_calls))

    def _chunk(self, delta: Delta, reason: str | None = None, *, index: int = 0) -> Chunk:
        return {**self._identity, "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def completion(
    answer_id: str | None, *, created_s: int | None, model: str, choices: Sequence[Choice], usage: TokenUsage | None
) -> Completion:
    """A chat completion that was not streamed."""
    answer: Completion = {
        "id": answer_id or f"gen_{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": created_s or 0,
        "model": model,
        "choices": list(choices),
    }
    return {**answer, "usage": usage_json(usage)} if usage is not None else answer


def tool_call(call_id: str | None, name: str | None, arguments: str) -> ToolCall:
    """A whole call of a function."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def choice(message: Message, reason: str) -> Choice:
    """The only choice of most answers."""
    return {"index": 0, "message": message, "finish_reason": finish_reason(reason, message.get("tool_calls"))}
