"""OpenAI's Responses that go on, where a provider of another protocol makes them. Sans-I/O."""

from typing import Any, cast

from contracts.usage import TokenUsage
from libs.chat.continuing.cut import NotPlainError, turns_with
from libs.chat.providers.openai_chat.usage import usage_json as chat_usage
from libs.chat.shapes.completion import JsonObject
from libs.chat.shapes.responses import Part
from libs.chat.surfaces.responses.answer import FORMS, message_item, usage_json

_BEGINS = ("response.created", "response.queued", "response.in_progress")
_ENDS = ("response.completed", "response.incomplete")
_POSITION = {"output_index": 0, "content_index": 0}


class CutResponse:
    """See `libs.chat.continuing.cut.Cut`. The response has begun, and perhaps its one message."""

    def __init__(self) -> None:
        self.text = ""
        self.response: JsonObject = {}
        self._item_id: str | None = None
        self._item: JsonObject = {}
        """Whole, once it is."""
        self._had: set[str] = set()
        """Types of events that come once."""
        self._number = 0

    def take(self, event: JsonObject) -> None:
        """See `Cut`."""
        self._number = event["sequence_number"] + 1
        match event["type"]:
            case kind if kind in _BEGINS:
                self.response = event["response"]
            case "response.output_item.added" if event["item"]["type"] == "message" and not self._item_id:
                self._item_id = event["item"]["id"]
            case "response.content_part.added" if event["part"]["type"] == "output_text":
                self.text = event["part"]["text"]
            case "response.output_text.delta" if not event.get("logprobs"):
                self.text += event["delta"]
                return
            case _:
                raise NotPlainError
        self._had.add(event["type"])

    def asked(self, body: JsonObject) -> JsonObject:
        """See `Cut`."""
        given = body.get("input")
        turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
        part = {"type": "output_text", "text": self.text}
        turn = {"type": "message", "role": "assistant", "content": [part]}
        return {**body, "input": turns_with(turns, turn)}

    def go_on(self, event: JsonObject) -> list[JsonObject]:
        """See `Cut`."""
        if event.get("type") in self._had:
            if event.get("item", {}).get("type", "message") != "message":
                raise NotPlainError
            return []
        events = [*self._closing(), event] if event.get("type") in _ENDS else [event]
        return [self._own(one) for one in events]

    def count(self, event: JsonObject, total: TokenUsage) -> None:
        """See `Cut`."""
        response = event.get("response")
        if isinstance(response, dict) and response.get("usage"):
            response["usage"] = usage_json(chat_usage(total))

    def _closing(self) -> list[JsonObject]:
        """The end of our message, where there was no more to say."""
        if self._item_id is None or "response.output_item.done" in self._had:
            return []
        self._had.add("response.output_item.done")
        part = cast("JsonObject", FORMS["message"].part(""))
        done: list[JsonObject] = []
        if "response.content_part.added" in self._had:
            done = [
                {"type": "response.output_text.done", **_POSITION, "text": "", "logprobs": []},
                {"type": "response.content_part.done", **_POSITION, "part": part},
            ]
        item = cast("JsonObject", message_item(self._item_id, cast("Part", part)))
        return [*done, {"type": "response.output_item.done", "output_index": 0, "item": item}]

    def _own(self, event: JsonObject) -> JsonObject:
        """The event with our IDs, our number, and what the client has before what is new."""
        if event.get("output_index") == 0 and self._item_id:
            if "item_id" in event or "content_index" in event:
                event["item_id"] = self._item_id
            match event["type"]:
                case "response.output_text.done":
                    event["text"] = self.text + event["text"]
                case "response.content_part.done":
                    event["part"] = {**event["part"], "text": self.text + event["part"]["text"]}
                case "response.output_item.done":
                    self._had.add(event["type"])
                    self._item = event["item"] = self._whole(event["item"])
        response = event.get("response")
        if isinstance(response, dict):
            named = {name: self.response[name] for name in ("id", "created_at") if name in self.response}
            output = response.get("output") or []
            if self._item_id:
                output = [self._item, *output[1:]]
            event["response"] = {**response, **named, "output": output}
        event["sequence_number"] = self._number
        self._number += 1
        return event

    def _whole(self, item: JsonObject) -> JsonObject:
        parts: list[Any] = item.get("content") or []
        first = {**parts[0], "text": self.text + parts[0]["text"]} if parts else FORMS["message"].part(self.text)
        return {**item, "id": self._item_id, "content": [first, *parts[1:]]}
