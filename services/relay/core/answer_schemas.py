"""Answers that must be JSON of a schema, for an organization with a rule about that. Pure.

A whole answer is checked before its client has it, a stream at its end: its last event is then an error. An answer that
calls tools is not the last one, and is let pass.
"""

from collections.abc import Mapping
from dataclasses import replace

from contracts.guardrails import AnswerRules
from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.exact_json import decode
from libs.chat.providers.answers import Answer, Exchange, Rewritten
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces.writer import parts_in, text_of
from libs.policy.answers import AnswerRefused
from libs.policy.schemas import TooMuch, fits

MOST_CHARACTERS = 4 * 1024 * 1024
"""Of an answer's text. No model writes as much."""
_CALLS = ("tool_use", "function_call", "custom_tool_call")
_ASKED: dict[Surface, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Surface.CHAT_COMPLETIONS: (("response_format",), ("json_schema", "schema")),
    Surface.RESPONSES: (("text", "format"), ("schema",)),
    Surface.MESSAGES: (("output_config", "format"), ("schema",)),
}
"""Where a request has the format that it asks for, and that the schema."""


def schema_for(rules: AnswerRules, surface: Surface, body: Mapping[str, object]) -> object:
    """The schema that an answer must be of; None: any text."""
    if rules.json_schema is not None:
        return rules.json_schema
    if not rules.schema_asked or surface not in _ASKED:
        return None
    where, schema = _ASKED[surface]
    wanted = _at(body, where)
    if isinstance(wanted, dict) and wanted.get("type") == "json_object":
        return {"type": "object"}
    return _at(wanted, schema)


def _at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def of_schema(exchange: Exchange, schema: object) -> Exchange:
    """The exchange, whose answer is checked. Reading it raises `AnswerRefused`."""
    texts = Texts()

    def whole(data: bytes) -> Answer:
        answer = exchange.whole(data)

        def body(counted: TokenUsage | None) -> str:
            text = answer.body(counted)
            texts.of_answer(decode(text))
            texts.check(schema)
            return text

        return replace(answer, body=body)

    def taken(events: str) -> str:
        texts.of_events(events)
        return events

    def last(events: str) -> str:
        texts.of_events(events)
        texts.check(schema)
        return events

    return replace(exchange, stream=Rewritten(exchange.stream, event=taken, end=last), whole=whole)


class Texts:
    """The texts of an answer, of any surface: one for each choice."""

    def __init__(self) -> None:
        self._texts: dict[object, list[str]] = {}
        self._calling: set[object] = set()
        """Choices that call tools."""
        self._characters = 0

    def of_answer(self, answer: JsonObject) -> None:
        """Takes a whole answer."""
        for choice in _objects(answer.get("choices")):
            self._of_choice(choice, "message")
        for block in _objects(answer.get("content")):
            self._of_block(block)
        for item in _objects(answer.get("output")):
            self._note_call(0, item.get("type") in _CALLS)
            if item.get("type") == "message":
                self._add(0, text_of(parts_in(item.get("content"))))

    def of_events(self, events: str) -> None:
        """Takes some events of a stream."""
        for line in events.split("\n"):
            data = line.removeprefix("data: ")
            if data is not line and data.startswith("{"):
                self._of_event(decode(data))

    def _of_event(self, event: JsonObject) -> None:
        for choice in _objects(event.get("choices")):
            self._of_choice(choice, "delta")
        kind, delta = event.get("type"), event.get("delta")
        if kind == "content_block_start":
            self._of_block(event.get("content_block") or {})
        elif kind == "content_block_delta" and isinstance(delta, dict):
            self._add(0, str(delta.get("text") or ""))
        elif kind == "response.output_text.delta":
            self._add(0, str(delta or ""))
        elif kind == "response.output_item.added":
            self._note_call(0, (event.get("item") or {}).get("type") in _CALLS)

    def _of_choice(self, choice: JsonObject, part: str) -> None:
        index, message = choice.get("index", 0), choice.get(part) or {}
        self._add(index, text_of(message.get("content")) + str(choice.get("text") or ""))
        self._note_call(index, bool(message.get("tool_calls") or message.get("function_call")))

    def _of_block(self, block: JsonObject) -> None:
        self._note_call(0, block.get("type") in _CALLS)
        if block.get("type") == "text":
            self._add(0, str(block.get("text") or ""))

    def _note_call(self, index: object, calls: bool) -> None:
        if calls:
            self._calling.add(index)

    def _add(self, index: object, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise _refused("is longer than any that could be checked")
        self._texts.setdefault(index, []).append(text)

    def check(self, schema: object) -> None:
        """Raises AnswerRefused, unless all of them are JSON of the schema."""
        for index, pieces in (self._texts or {0: []}).items():
            if index not in self._calling:
                _check("".join(pieces), schema)


def _check(text: str, schema: object) -> None:
    try:
        value = decode(text)
    except ValueError:
        raise _refused("is not JSON") from None
    try:
        if not fits(value, schema):
            raise _refused("is not of the JSON schema that it must have")
    except TooMuch:
        raise _refused("or its JSON schema is too large to be checked") from None


def _refused(what: str) -> AnswerRefused:
    return AnswerRefused("json_schema", f"The answer {what}")


def _objects(value: object) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
