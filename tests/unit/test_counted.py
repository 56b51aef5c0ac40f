"""What was counted of a conversation bounds its next turn: never below what the provider will count."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from libs.pricing.bounds import size_of
from libs.pricing.tokenizing import tokenizer
from services.ingress.core.counted import Conversation, Counts, Uncounted, is_steady
from tests.sessions.replay import load

Body = dict[str, Any]
PROVIDERS = {"p"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 60_000}}
ELSEWHERE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def _said(*texts: str, **more: Any) -> Body:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]
    return {"model": "m", "messages": turns} | more


def _read(body: Body, *whose: str) -> Conversation:
    conversation = Conversation(body, whose)
    for _ in conversation.steps():
        pass
    return conversation


def _sent(body: Body, *whose: str) -> Uncounted:
    sent = _read(body, *whose).whole(size_of(body, 0))
    assert sent
    return sent


def _counted(body: Body) -> int:
    """As a provider counts: a few tokens around each message."""
    o200k = tokenizer("o200k")
    assert o200k
    return 3 + sum(4 + o200k.count(turn["content"]) for turn in body["messages"])


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.lists(st.text(max_size=60), max_size=3))
def test_no_next_turn_has_more_tokens_than_it_is_bounded_by(before: list[str], after: list[str]) -> None:
    counts, begun, whole = Counts(), _said(*before), _said(*before, *after)
    counts.note(_sent(begun), "p", _counted(begun))
    most = counts.most_tokens(_read(whole), PROVIDERS)
    assert most is not None
    assert most >= _counted(whole)


def test_a_long_conversation_holds_what_was_counted_and_the_bytes_of_the_rest() -> None:
    counts, begun = Counts(), _said("The relay streams the answer to the client. " * 2_000)
    counts.note(_sent(begun), "p", 18_000)
    answered = _said(begun["messages"][0]["content"], "Yes.", "Why?", max_tokens=7, stream=True)
    most = counts.most_tokens(_read(answered), PROVIDERS)
    assert most is not None
    assert 18_000 < most < 18_600
    assert size_of(answered, len(to_json(answered))).tokens_most > 85_000


@pytest.mark.parametrize(
    "other",
    [
        _said("another beginning", "b", "c"),
        _said("a", "b", "c", tools=[{"type": "function"}]),
        {"model": "m", "input": _said("a", "b", "c")["messages"]},
    ],
)
def test_another_conversation_is_not_bounded_by_it(other: Body) -> None:
    counts = Counts()
    counts.note(_sent(_said("a"), "acct:a"), "p", 50)
    assert counts.most_tokens(_read(_said("a", "b", "c"), "acct:a"), PROVIDERS) is not None
    assert counts.most_tokens(_read(other, "acct:a"), PROVIDERS) is None
    assert counts.most_tokens(_read(_said("a", "b", "c"), "acct:b"), PROVIDERS) is None


def test_all_providers_that_may_be_asked_have_counted_it() -> None:
    counts, sent, grown = Counts(), _sent(_said("a")), _read(_said("a", "b"))
    counts.note(sent, "p", 500)
    assert counts.most_tokens(grown, {"p", "q"}) is None
    assert counts.most_tokens(grown, set()) is None
    counts.note(sent, "q", 900)
    counts.note(sent, "q", 100)
    of_both, of_one = counts.most_tokens(grown, {"p", "q"}), counts.most_tokens(grown, {"p"})
    assert of_both and of_one
    assert of_both > 900 > of_one > 500, "never below what was seen"


def test_a_count_of_less_than_was_sent_is_not_believed() -> None:
    counts, begun = Counts(), _said("word " * 1_000)
    counts.note(Uncounted(_sent(begun).digest, tokens_least=300), "p", 299)
    assert counts.most_tokens(_read(begun), PROVIDERS) is None


def test_marks_of_what_to_cache_move_and_change_nothing() -> None:
    def spoken(marked: int) -> Body:
        parts: list[list[Body]] = [[{"type": "text", "text": text}] for text in ("a", "b", "c")]
        parts[marked][0]["cache_control"] = {"type": "ephemeral"}
        return {"messages": [{"role": "user", "content": part} for part in parts]}

    counts = Counts()
    counts.note(_sent(spoken(1)), "p", 50)
    assert counts.most_tokens(_read(spoken(2)), PROVIDERS) is not None


@pytest.mark.parametrize(
    ("body", "steady"),
    [
        (_said("a"), True),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, True),
        ({"messages": [{"role": "user", "content": [ELSEWHERE]}]}, False),
        (_said("a", truncation="auto"), False),
        (_said("a", context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}), True),
        (_said("a", context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}), False),
        (_said("a", context_management="x"), False),
        (_said("a", mcp_servers=[{}]), False),
    ],
)
def test_what_may_be_something_else_the_next_time_is_not_counted_on(body: Body, steady: bool) -> None:
    assert is_steady(body, size_of(body, len(to_json(body)))) is steady


def test_it_remembers_so_many_and_forgets_the_oldest() -> None:
    counts = Counts(most=2)
    for text in "abc":
        counts.note(_sent(_said(text)), "p", 50)
    known = [counts.most_tokens(_read(_said(text)), PROVIDERS) is not None for text in "abc"]
    assert known == [False, True, True]


def test_each_turn_of_claude_code_is_bounded_by_the_one_before() -> None:
    counts, by_bytes, by_counts = Counts(), 0, 0
    for number, body in enumerate(load("claude_code").bodies):
        size = size_of(body, len(to_json(body)))
        assert is_steady(body, size)
        most = counts.most_tokens(_read(body), PROVIDERS)
        assert (most is None) == (number == 0)
        by_bytes, by_counts = by_bytes + size.tokens_most, by_counts + (most or size.tokens_most)
        counts.note(_sent(body), "p", size.tokens_about)
    assert by_counts < by_bytes / 4


def test_codex_has_the_provider_search_so_its_input_is_open_ended() -> None:
    (body, *_) = load("codex").bodies
    assert not is_steady(body, size_of(body, len(to_json(body))))
