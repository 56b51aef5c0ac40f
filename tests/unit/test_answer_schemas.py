"""Answers that must be JSON of a schema: as jsonschema has it, at any size, on every surface."""

import contextlib
import json
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from contracts.guardrails import AnswerRules
from contracts.requests import Surface
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.config.providers import Provider
from libs.policy.answers import AnswerRefused
from libs.policy.schemas import TooMuch, fits
from services.relay.core.answer_schemas import of_schema, schema_for

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.0]) | st.text("ab", max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
KINDS = st.sampled_from(["null", "boolean", "string", "array", "object", "number", "integer"])
BOUNDS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
PLAIN: dict[str, Any] = {
    "type": KINDS | st.lists(KINDS, min_size=1, max_size=3, unique=True),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "required": st.lists(NAMES, max_size=2, unique=True),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), st.integers(-2, 2)),
    **dict.fromkeys(BOUNDS, st.integers(0, 3)),
}


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named, some = st.dictionaries(NAMES, inner, max_size=2), st.lists(inner, min_size=1, max_size=2)
    deep = {"items": inner, "additionalProperties": inner, "properties": named, "prefixItems": some}
    return st.fixed_dictionaries({}, optional={**PLAIN, **deep, "allOf": some, "anyOf": some})


SCHEMAS = st.recursive(st.booleans() | st.fixed_dictionaries({}, optional=PLAIN), _deeper, max_leaves=6)


@example(None, {"enum": [[]], "const": None})
@given(VALUES, SCHEMAS)
def test_a_value_is_of_a_schema_as_jsonschema_says(value: Any, schema: Any) -> None:
    assert fits(value, schema) == Draft202012Validator(schema).is_valid(value)


PERSON = {
    "$defs": {"person": {"type": "object", "properties": {"friends": {"items": {"$ref": "#/$defs/person"}}}}},
    "$ref": "#/$defs/person",
}


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ({"friends": [{"friends": []}]}, PERSON, True),
        ({"friends": [{"friends": [1]}]}, PERSON, False),
        ("x", {"pattern": "^a+$", "format": "date", "not": {}, "$ref": "https://x.example/s"}, True),
        ({"x1": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, True),
        (1, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, True),
        (1, {"type": "no-such", "minimum": "low", "properties": 3, "required": 5}, False),
        (1, "no schema", True),
    ],
)
def test_what_is_passed_over_allows_more(value: Any, schema: Any, expected: bool) -> None:
    assert fits(value, schema) is expected


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"$ref": "#"}),
        (1, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        ([1] * 60_000, {"items": {"type": "integer"}}),
        ([1] * 300, {"items": {"enum": list(range(2, 1_000))}}),
        ([1] * 300, {"anyOf": [{"items": {"allOf": [{}] * 100, "type": "string"}}] * 10}),
    ],
)
def test_the_work_is_bounded(value: Any, schema: Any) -> None:
    with contextlib.suppress(TooMuch):
        assert not fits(value, schema)


SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
ASKED: dict[Surface, dict[str, Any]] = {
    Surface.CHAT_COMPLETIONS: {
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
    },
    Surface.RESPONSES: {"input": "hi", "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
    Surface.MESSAGES: {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
}


def _call(surface: Surface, rules: AnswerRules) -> Exchange:
    body = {"model": "a/b", **ASKED[surface]}
    call = Call(surface, body, "a/b", "up", True, cap_tokens=None, most_tokens=100, created_s=1)
    guard = partial(of_schema, schema=schema_for(rules, surface, body))
    return exchange(call, Provider(base_url="http://x"), guard)


def _answers(found: Exchange, text: str) -> tuple[Any, Any]:
    """How the whole answer is read, and its stream."""
    whole = {"id": "c", "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
    pieces = [{"content": piece} for piece in (text[:3], text[3:])]
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in pieces]
    chunks.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})

    def streamed() -> str:
        events = [json.dumps(chunk) for chunk in chunks]
        return "".join(map(found.stream.event, [*events, "[DONE]"])) + found.stream.finish(None)

    return lambda: found.whole(orjson.dumps(whole)).body(None), streamed


@pytest.mark.parametrize("rules", [AnswerRules(schema_asked=True), AnswerRules(json_schema=SCHEMA)])
@pytest.mark.parametrize("surface", ASKED)
def test_answers_of_every_surface_are_of_the_schema_or_refused(surface: Surface, rules: AnswerRules) -> None:
    for text, good in (('{"ok": true}', True), ('{"ok": 1}', False), ("Sure! {}", False), ("", False)):
        for read in range(2):
            answer = _answers(_call(surface, rules), text)[read]
            if good:
                assert answer()
            else:
                with pytest.raises(AnswerRefused, match=r"guardrails\.answers\.json_schema"):
                    answer()


@pytest.mark.parametrize("surface", ASKED)
def test_an_answer_that_calls_a_tool_is_not_the_last(surface: Surface) -> None:
    call = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": "Let me see.", "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls"}
    rules = AnswerRules(json_schema=SCHEMA)
    assert _call(surface, rules).whole(orjson.dumps({"choices": [{**choice, "message": message}]})).body(None)
    found = _call(surface, rules)
    events = [json.dumps({"id": "c", "choices": [{**choice, "delta": message}]}), "[DONE]"]
    assert "".join(map(found.stream.event, events)) + found.stream.finish(None)


def test_which_schema_it_is() -> None:
    asked = AnswerRules(schema_asked=True)
    for surface, body in ASKED.items():
        assert schema_for(asked, surface, body) == SCHEMA
        assert schema_for(AnswerRules(), surface, body) is None
    plain = {"response_format": {"type": "json_object"}}
    assert schema_for(asked, Surface.CHAT_COMPLETIONS, plain) == {"type": "object"}
    assert schema_for(asked, Surface.CHAT_COMPLETIONS, {"response_format": "odd"}) is None
    assert schema_for(asked, Surface.FIM, plain) is None
    assert schema_for(AnswerRules(json_schema={}), Surface.FIM, plain) == {}
