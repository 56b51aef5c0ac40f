"""Chat completions that go on. Sans-I/O."""

from contracts.usage import TokenUsage
from libs.chat.continuing.cut import NotPlainError, turns_with
from libs.chat.providers.openai_chat.usage import usage_json
from libs.chat.shapes.completion import JsonObject

_OF_TEXT = ("role", "content")
_IDENTITY = ("id", "created")


class CutChat:
    """See `libs.chat.continuing.cut.Cut`."""

    def __init__(self) -> None:
        self.text = ""
        self._identity: JsonObject = {}

    def take(self, event: JsonObject) -> None:
        """See `Cut`."""
        self._identity = self._identity or {name: event[name] for name in _IDENTITY if name in event}
        for choice in event["choices"]:
            delta = choice.get("delta") or {}
            more = any(value for name, value in delta.items() if name not in _OF_TEXT)
            if more or choice.get("index") or choice.get("finish_reason") or choice.get("logprobs"):
                raise NotPlainError
            self.text += delta.get("content") or ""

    def asked(self, body: JsonObject) -> JsonObject:
        """See `Cut`."""
        return {**body, "messages": turns_with(body.get("messages"), {"role": "assistant", "content": self.text})}

    def go_on(self, event: JsonObject) -> list[JsonObject]:
        """See `Cut`."""
        if self._identity and any(_opens(choice) for choice in event.get("choices") or ()):
            # Its beginning the client has.
            return []
        return [{**event, **self._identity}]

    def count(self, event: JsonObject, total: TokenUsage) -> None:
        """See `Cut`."""
        if event.get("usage"):
            event["usage"] = {**event["usage"], **usage_json(total)}


def _opens(choice: JsonObject) -> bool:
    delta = choice.get("delta") or {}
    begins = bool(delta.pop("role", None))
    return begins and not any(delta.values()) and not choice.get("finish_reason")
