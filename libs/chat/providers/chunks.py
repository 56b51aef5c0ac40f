"""Chat completions and their chunks, as the adapters of other protocols write them. Sans-I/O."""

import secrets
from collections.abc import Sequence
from typing import Any

from contracts.usage import TokenUsage
from libs.chat.providers.openai_chat.answer import finish_reason
from libs.chat.providers.openai_chat.usage import usage_json


class ChunkReader:
    """What the readers of other protocols share: it identifies the answer and holds the usage back.

    See `libs.chat.providers.protocol.Reader`.
    """

    def __init__(self, *, model: str, created_s: int) -> None:
        self._identity: dict[str, Any] = {
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

    def tail(self, counted: TokenUsage | None) -> dict[str, Any] | None:
        """See `libs.chat.providers.protocol.Reader`."""
        usage = self.usage or counted
        return {**self._identity, "choices": [], "usage": usage_json(usage)} if usage else None

    def _identify(self, answer_id: Any) -> None:
        """Takes the provider's own ID of the answer, if there is one."""
        self._identity["id"] = answer_id or self._identity["id"]

    def _text(self, name: str, text: Any) -> dict[str, Any]:
        """A chunk with more of a text: ``content``, ``reasoning_content`` or ``refusal``."""
        return self._chunk({name: str(text or "")})

    def _thought(self, text: Any, index: int) -> dict[str, Any]:
        """A chunk with more of a thought, which its signature will follow under the same index."""
        detail = {"type": "reasoning.text", "text": str(text or ""), "index": index}
        return self._chunk({"reasoning_content": detail["text"], "reasoning_details": [detail]})

    def _call(self, number: int, call_id: Any, name: Any) -> dict[str, Any]:
        """A chunk with the beginning of a tool call."""
        self._has_calls = True
        function = {"name": name, "arguments": ""}
        return self._chunk({"tool_calls": [{"index": number, "id": call_id, "type": "function", "function": function}]})

    def _arguments(self, number: int, text: Any) -> dict[str, Any]:
        """A chunk with more of a tool call's arguments."""
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": str(text or "")}}]})

    def _end(self, reason: str) -> dict[str, Any]:
        """The chunk with which the model's text ends."""
        self.finished = True
        return self._chunk({}, finish_reason(reason, self._has_calls))

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, *, index: int = 0) -> dict[str, Any]:
        return {**self._identity, "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def completion(
    answer_id: Any, *, created_s: Any, model: str, choices: Sequence[dict[str, Any]], usage: TokenUsage | None
) -> dict[str, Any]:
    """A chat completion that was not streamed."""
    answer: dict[str, Any] = {
        "id": answer_id or f"gen_{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": created_s,
        "model": model,
        "choices": list(choices),
    }
    return {**answer, "usage": usage_json(usage)} if usage is not None else answer


def choice(message: dict[str, Any], reason: str) -> dict[str, Any]:
    """The only choice of most answers."""
    return {"index": 0, "message": message, "finish_reason": finish_reason(reason, message.get("tool_calls"))}
