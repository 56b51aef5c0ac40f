"""Guardrails of answers: what is found in a whole text is found in a stream of it, however it is cut."""

from functools import partial
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.guardrails import AnswerRules, Kind, TextPattern
from contracts.requests import Surface
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.config.providers import ProtocolName, Provider
from libs.policy.answers import LOOK_AHEAD, MOST_HELD, AnswerRefused, Growing, redacted
from services.relay.core.guarding import guarded
from tests.unit.events import named_events

ALL = AnswerRules(redact=list(Kind))
OWN = AnswerRules(
    redact=list(Kind),
    patterns=[
        TextPattern(name="ticket", regex=r"(?i)\bproj-\d{3,8}\b"),
        TextPattern(name="wide", regex=r"w[o-r ]{2,200}d|日.{0,3}語"),
    ],
)
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIE/abc+\n" * 30 + "-----END RSA PRIVATE KEY-----"
PIECES = [
    "ada@example.com",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "+49 30 901820",
    "10.0.0.7",
    "sk-proj-" + "a1B2" * 8,
    PEM,
    "Proj-12345",
    "proj-123",
    *("word", " ", "\n", ", ", "日本語", "12", "@", "é", "+", "--", "a" * 100),
]
texts = st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)
ASKED: dict[Surface, dict[str, Any]] = {
    Surface.CHAT_COMPLETIONS: {"messages": [{"role": "user", "content": "hi"}]},
    Surface.RESPONSES: {"input": "hi", "instructions": "write to ada@example.com"},
    Surface.MESSAGES: {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100},
}


def _cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(texts, st.lists(st.integers(0, 10_000), max_size=20), st.sampled_from([ALL, OWN]))
def test_a_text_that_grows_is_what_the_whole_is(text: str, cuts: list[int], rules: AnswerRules) -> None:
    growing = Growing(rules)
    assert "".join(map(growing.feed, _cut(text, cuts))) + growing.end() == redacted(text, rules)


@given(texts)
def test_a_text_that_grows_by_characters_is_what_the_whole_is(text: str) -> None:
    growing = Growing(ALL)
    assert "".join(map(growing.feed, text)) + growing.end() == redacted(text, ALL)


@given(st.lists(st.text(max_size=40), max_size=50))
def test_little_is_held_back(pieces: list[str]) -> None:
    growing, given_, gone = Growing(AnswerRules(redact=list(Kind), words_deny=["x" * 200])), 0, 0
    for piece in pieces:
        if "x" * 200 in piece:
            return
        given_ += len(piece)
        gone += len(growing.feed(piece))
    assert given_ - gone <= MOST_HELD


def test_a_run_without_an_end_is_held_back_only_so_long() -> None:
    growing = Growing(ALL)
    gone = [len(growing.feed("a" * 1_000)) for _ in range(20)]
    assert sum(gone) >= 20_000 - MOST_HELD - 1_000
    plain = Growing(ALL)
    assert len(plain.feed("日本語" * 100)) == 300 - LOOK_AHEAD


@given(st.lists(st.integers(0, 10_000), max_size=10))
def test_what_is_denied_is_refused_by_its_rule_however_it_comes(cuts: list[int]) -> None:
    text = "it is about Project Bluebird, " + "and more " * 20 + "card 4111 1111 1111 1111, bye"
    for rules, rule in (
        (AnswerRules(words_deny=["project bluebird"]), "guardrails.answers.words_deny"),
        (AnswerRules(deny=[Kind.CREDIT_CARD]), "guardrails.answers.deny"),
        (
            AnswerRules(patterns=[TextPattern(name="bird", regex="Blue[a-z]{4}", action="deny")]),
            "guardrails.answers.patterns.bird",
        ),
    ):
        growing = Growing(rules)
        with pytest.raises(AnswerRefused) as refused:
            for piece in _cut(text, cuts):
                growing.feed(piece)
            growing.end()
        assert refused.value.rule == rule
        assert rule in str(refused.value)
        assert "Bluebird" not in str(refused.value)


def _call(surface: Surface, rules: AnswerRules, protocol: ProtocolName = "openai-chat", **more: Any) -> Exchange:
    body = {"model": "a/b", **ASKED[surface], **more}
    call = Call(surface, body, "a/b", "up", True, cap_tokens=None, most_tokens=100, created_s=1)
    return exchange(call, Provider(base_url="http://x", protocol=protocol), partial(guarded, rules=rules))


def _streamed(found: Exchange, *deltas: dict[str, Any]) -> str:
    chunks = [{"id": "c", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events = [orjson.dumps(chunk).decode() for chunk in chunks]
    return "".join(map(found.stream.event, [*events, "[DONE]"])) + found.stream.finish(None)


def _said(surface: Surface, events: str) -> str:
    """As a client puts it together."""
    data = [orjson.loads(line[6:]) for line in events.split("\n") if line.startswith("data: {")]
    if surface is Surface.CHAT_COMPLETIONS:
        deltas = [choice["delta"] for one in data for choice in one["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)
    if surface is Surface.MESSAGES:
        return "".join(one["delta"].get("text", "") for one in data if one["type"] == "content_block_delta")
    numbers = [one["sequence_number"] for one in data]
    assert numbers == list(range(len(numbers)))
    said = "".join(one["delta"] for one in data if one["type"] == "response.output_text.delta")
    done = [one["text"] for one in data if one["type"] == "response.output_text.done"]
    assert done == [said]
    assert data[-1]["response"]["output"][0]["content"][0]["text"] == said
    assert data[-1]["response"]["instructions"] == "write to ada@example.com", "the client's own words"
    return said


@pytest.mark.parametrize("surface", ASKED)
@given(texts, st.lists(st.integers(0, 10_000), max_size=6))
def test_clients_of_every_surface_read_what_is_left(surface: Surface, text: str, cuts: list[int]) -> None:
    text = f"so {text}"
    streamed = _streamed(_call(surface, ALL), *({"content": piece} for piece in _cut(text, cuts)))
    assert _said(surface, streamed) == redacted(text, ALL)


@pytest.mark.parametrize("surface", ASKED)
def test_whole_answers_are_checked_but_what_they_repeat_of_the_request(surface: Surface) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "to ada@example.com"}, "finish_reason": "stop"}
    data = orjson.dumps({"id": "c", "choices": [{**choice, "logprobs": {"content": [{"token": "ada"}]}}]})
    body = _call(surface, ALL).whole(data).body(None)
    assert "to [EMAIL]" in body
    assert body.count("ada@") == (1 if surface is Surface.RESPONSES else 0), "instructions are the client's own"
    with pytest.raises(AnswerRefused):
        _call(surface, AnswerRules(deny=[Kind.EMAIL])).whole(data).body(None)


def test_what_carries_an_answer_has_only_what_is_left() -> None:
    found = _call(Surface.RESPONSES, ALL)
    events = named_events(_streamed(found, {"content": "to ada@example.com"}))
    carrier = events[-1]["response"]["output"][-1]
    assert carrier["id"].startswith("rs_sluice.")
    assert "YWRhQGV4YW1wbGUuY29t" not in carrier["id"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "to [EMAIL]"


@pytest.mark.parametrize("surface", ASKED)
def test_a_model_calls_only_tools_that_are_allowed(surface: Surface) -> None:
    rules = AnswerRules(tools_allow=["read_*"], redact=[Kind.EMAIL])

    def calls(name: str) -> str:
        function = {"name": name, "arguments": '{"to":"ada@example.com"}'}
        call = {"index": 0, "id": "x", "type": "function", "function": function}
        return _streamed(_call(surface, rules), {"tool_calls": [call]})

    assert "[EMAIL]" in calls("read_file")
    with pytest.raises(AnswerRefused, match="tools_allow"):
        calls("delete_all")


def test_events_of_a_provider_that_pass_as_they_are_are_checked_too() -> None:
    found = _call(Surface.MESSAGES, ALL, "anthropic-messages")
    events = [
        {"type": "message_start", "message": {"id": "m", "model": "up", "content": [], "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "to ada@exam"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ple.com"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    text = "".join(found.stream.event(orjson.dumps(event).decode()) for event in events) + found.stream.finish(None)
    assert _said(Surface.MESSAGES, text) == "to [EMAIL]"
    kinds = [event["type"] for event in named_events(text)]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
