"""Answers on their way to clients of an organization with rules about them. Pure.

Texts are searched in the surface's own shape, so it is the same for what is translated and what passes as it is. A text
that is held back (`libs.policy.answers`) comes with the event that ends it, or in one of its own before that.
"""

from collections.abc import Callable
from dataclasses import replace

from contracts.guardrails import AnswerRules
from contracts.usage import TokenUsage
from libs.chat.exact_json import decode, encode
from libs.chat.providers.answers import Answer, Exchange, Rewritten
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces.chat.stream import DONE
from libs.chat.surfaces.writer import data_event, named_event
from libs.policy.answers import Growing, check_tool, redacted
from libs.policy.guardrails import NO_TEXTS

_CALLS = ("function", "tool_use", "function_call", "custom_tool_call")
"""Types of what calls a tool, by any surface."""
_ANSWERS = ("choices", "content", "output")
"""Fields of whole answers that the model wrote; others repeat the request."""
_OF_EVENTS = ("arguments", "content_block", "input", "item", "part", "refusal", "text")
"""The same of events that bring what is whole."""
_DELTA_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_BLOCK_TEXTS = ("text", "thinking", "partial_json")
Key = tuple[object, ...]


def guarded(exchange: Exchange, rules: AnswerRules) -> Exchange:
    """The exchange, whose answer is checked. Reading it raises `libs.policy.answers.AnswerRefused`."""
    events = Events(rules)

    def whole(data: bytes) -> Answer:
        answer = exchange.whole(data)

        def body(counted: TokenUsage | None) -> str:
            found = _of_object(decode(answer.body(counted)))
            return encode({name: checked(one, rules) if name in _ANSWERS else one for name, one in found.items()})

        return replace(answer, body=body)

    stream = Rewritten(exchange.stream, event=events.take, end=events.last)
    return replace(exchange, stream=stream, whole=whole)


def checked(value: object, rules: AnswerRules) -> object:
    """A whole answer, or a part of one, with what is left of its texts. Raises AnswerRefused."""
    if isinstance(value, str):
        return redacted(value, rules)
    if isinstance(value, list):
        return [checked(one, rules) for one in value]
    if not isinstance(value, dict):
        return value
    _check_call(value, rules)
    found = {name: one if name in NO_TEXTS else checked(one, rules) for name, one in value.items()}
    return _without_logprobs(found)


def _without_logprobs(held: JsonObject) -> JsonObject:
    """They have the text token by token."""
    if held.get("logprobs"):
        held["logprobs"] = [] if isinstance(held["logprobs"], list) else None
    return held


def _check_call(held: JsonObject, rules: AnswerRules) -> None:
    if held.get("type") in _CALLS:
        function = held.get("function")
        name = (function if isinstance(function, dict) else held).get("name")
        if name is not None:
            check_tool(name, rules)


class Events:
    """A stream's events, of any surface."""

    def __init__(self, rules: AnswerRules) -> None:
        self._rules = rules
        self._texts: dict[Key, Growing] = {}
        self._more: dict[Key, JsonObject] = {}
        """By text: an event that adds to it."""
        self._number = -1
        """Of the event that came last, where they have numbers."""
        self._added = 0
        """Events that were added, by which the numbers of those that follow grow."""

    def take(self, events: str) -> str:
        """Some whole events. Raises AnswerRefused."""
        return "".join(self._event(event) for event in events.split("\n\n") if event)

    def last(self, events: str) -> str:
        """The last ones. Raises AnswerRefused."""
        text = self.take(events)
        self._number += 1
        return text + self._rest(lambda _key: True)

    def _event(self, event: str) -> str:
        _, found, data = event.rpartition("data: ")
        if not found:
            return f"{event}\n\n"
        if data == DONE:
            return self._rest(lambda _key: True) + f"{event}\n\n"
        content = decode(data)
        if not isinstance(content, dict):
            return f"{event}\n\n"
        if isinstance(content.get("sequence_number"), int):
            self._number = content["sequence_number"]
        if "choices" in content:
            ended = self._chat(content)
            return self._rest(lambda key: key[0] == "chat" and key[1] in ended) + self._written(content)
        before = self._before(content)
        if isinstance(content.get("delta"), dict):
            self._block(content)
        elif isinstance(content.get("delta"), str):
            key = _key(content)
            self._more[key] = content.copy()
            content["delta"] = self._grow(key, content["delta"])
            _without_logprobs(content)
        else:
            content = self._whole(content)
        return before + self._written(content)

    def _whole(self, content: JsonObject) -> JsonObject:
        found = {name: checked(one, self._rules) if name in _OF_EVENTS else one for name, one in content.items()}
        response = found.get("response")
        if isinstance(response, dict):
            found["response"] = {**response, "output": checked(response.get("output"), self._rules)}
        return _without_logprobs(found)

    def _before(self, content: JsonObject) -> str:
        """What was held back of a text that ends with this event."""
        kind = str(content.get("type"))
        if kind == "content_block_stop":
            return self._rest(lambda key: key[0] == "block" and key[1] == content.get("index"))
        if kind.startswith("response.") and not isinstance(content.get("delta"), str):
            return self._rest(lambda key: key[0] == "item" and key[1] == content.get("output_index", key[1]))
        return ""

    def _chat(self, content: JsonObject) -> list[object]:
        """Returns the choices that end here."""
        all_ended: list[object] = []
        for choice in content["choices"]:
            if not isinstance(choice, dict):
                continue
            index, delta = choice.get("index"), choice.get("delta")
            ended = bool(choice.get("finish_reason"))
            if ended:
                all_ended.append(index)
            _without_logprobs(choice)
            if isinstance(choice.get("text"), str):
                more = {**choice, "text": "", "finish_reason": None}
                self._put(("chat", index, "text"), choice, "text", content, more, ended=ended)
            if not isinstance(delta, dict):
                continue
            for name in _DELTA_TEXTS:
                if isinstance(delta.get(name), str):
                    more = {"index": index, "delta": {name: ""}, "finish_reason": None}
                    self._put(("chat", index, name), delta, name, content, more, ended=ended)
            for detail in delta.get("reasoning_details") or ():
                if isinstance(detail, dict) and isinstance(detail.get("text"), str):
                    one = {"type": detail.get("type"), "index": detail.get("index"), "text": ""}
                    more = {"index": index, "delta": {"reasoning_details": [one]}, "finish_reason": None}
                    key = ("chat", index, "details", detail.get("index"))
                    self._put(key, detail, "text", content, more, ended=ended)
            for call in delta.get("tool_calls") or ():
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict):
                    if function.get("name"):
                        check_tool(function["name"], self._rules)
                    if isinstance(function.get("arguments"), str):
                        one = {"index": call.get("index"), "function": {"arguments": ""}}
                        more = {"index": index, "delta": {"tool_calls": [one]}, "finish_reason": None}
                        key = ("chat", index, "call", call.get("index"))
                        self._put(key, function, "arguments", content, more, ended=ended)
        return all_ended

    def _block(self, content: JsonObject) -> None:
        delta = content["delta"]
        for name in _BLOCK_TEXTS:
            if isinstance(delta.get(name), str):
                key = ("block", content.get("index"), name)
                self._more[key] = {**content, "delta": {"type": delta.get("type"), name: ""}}
                delta[name] = self._grow(key, delta[name])

    def _put(
        self, key: Key, holder: JsonObject, name: str, content: JsonObject, more: JsonObject, *, ended: bool
    ) -> None:
        """Lets a text of a chat chunk grow; ``more`` is a choice that adds to it."""
        self._more[key] = {**{one: content[one] for one in content if one != "usage"}, "choices": [more]}
        holder[name] = self._grow(key, holder[name])
        if ended:
            holder[name] += self._texts.pop(key).end()

    def _grow(self, key: Key, piece: str) -> str:
        return self._texts.setdefault(key, Growing(self._rules)).feed(piece)

    def _rest(self, ended: Callable[[Key], bool]) -> str:
        """Events with what was held back of some texts."""
        events: list[str] = []
        for key in [one for one in self._texts if ended(one)]:
            if text := self._texts.pop(key).end():
                content = _with_text(self._more[key], text)
                if "sequence_number" in content:
                    content["sequence_number"] = self._number
                events.append(self._written(content))
                self._added += "sequence_number" in content
        return "".join(events)

    def _written(self, content: JsonObject) -> str:
        if self._added and isinstance(content.get("sequence_number"), int):
            content = {**content, "sequence_number": content["sequence_number"] + self._added}
        return named_event(content) if content.get("type") else data_event(content)


def _key(content: JsonObject) -> Key:
    """Of a text of a response."""
    return ("item", *(content.get(name) for name in ("output_index", "type", "content_index", "summary_index")))


def _with_text(more: JsonObject, text: str) -> JsonObject:
    """The event that adds to a text, with this."""
    if isinstance(more.get("delta"), str):
        return {**more, "delta": text}
    if isinstance(more.get("delta"), dict):
        return {**more, "delta": {name: text if one == "" else one for name, one in more["delta"].items()}}
    return {**more, "choices": _filled(more["choices"], text)}


def _filled(value: object, text: str) -> object:
    if isinstance(value, list):
        return [_filled(one, text) for one in value]
    if isinstance(value, dict):
        return {name: text if one == "" and name != "id" else _filled(one, text) for name, one in value.items()}
    return value


def _of_object(value: object) -> JsonObject:
    assert isinstance(value, dict)
    return value
