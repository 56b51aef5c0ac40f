"""Anthropic's Messages that go on. Sans-I/O."""

from contracts.usage import TokenUsage
from libs.chat.continuing.cut import NotPlainError, turns_with
from libs.chat.providers.openai_chat.usage import usage_json as chat_usage
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces.messages.answer import usage_json

_STOP = "content_block_stop"


class CutMessage:
    """See `libs.chat.continuing.cut.Cut`. The message has begun, and perhaps its one block."""

    def __init__(self) -> None:
        self.text = ""
        self._begun = False
        self._open = False
        self._joined = False
        """The call that goes on has begun its block, which is ours."""

    def take(self, event: JsonObject) -> None:
        """See `Cut`."""
        match event["type"], event.get("index", 0):
            case "message_start", _:
                self._begun = True
            case "content_block_start", 0 if event["content_block"]["type"] == "text" and not self._open:
                self._open, self.text = True, event["content_block"]["text"]
            case "content_block_delta", 0 if event["delta"]["type"] == "text_delta":
                self.text += event["delta"]["text"]
            case "ping", _:
                pass
            case _:
                raise NotPlainError

    def asked(self, body: JsonObject) -> JsonObject:
        """See `Cut`."""
        block = {"type": "text", "text": self.text}
        return {**body, "messages": turns_with(body.get("messages"), {"role": "assistant", "content": [block]})}

    def go_on(self, event: JsonObject) -> list[JsonObject]:
        """See `Cut`."""
        match event.get("type"):
            case "message_start" | "ping" if self._begun:
                return []
            case "content_block_start" if self._open and not self._joined:
                if event["content_block"]["type"] != "text":
                    raise NotPlainError
                self._joined = True
                return []
            case "content_block_stop":
                self._open = False
            case "message_delta" if self._open:
                # There was no more to say.
                self._open = False
                return [{"type": _STOP, "index": 0}, event]
        return [event]

    def count(self, event: JsonObject, total: TokenUsage) -> None:
        """See `Cut`."""
        if event.get("usage"):
            event["usage"] = {**event["usage"], **usage_json(chat_usage(total))}
