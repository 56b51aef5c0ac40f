"""OpenAI's completions from before chat, translated to chat or passed as they are."""

from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.providers.protocol import ProtocolError
from libs.chat.surfaces.completions.request import to_chat
from libs.chat.surfaces.writer import SurfaceError
from libs.pricing.bounds import size_of
from libs.pricing.tokenizing import text_of
from services.ingress.core.bodies import parse
from services.ingress.core.errors import BadRequest
from services.ingress.core.tokens import as_text
from tests.unit.streams import events_of, exchange_of

CHAT = {
    "id": "chatcmpl-1",
    "created": 5,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "world"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def test_a_prompt_becomes_a_message_and_the_rest_stays() -> None:
    asked = {"model": "m", "prompt": ["hello"], "max_tokens": 5, "n": 2, "stop": ["x"], "best_of": 2, "echo": False}
    assert to_chat(asked) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 5,
        "n": 2,
        "stop": ["x"],
    }


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"prompt": [1, 2]}, "tokens"),
        ({"prompt": [[1, 2]]}, "tokens"),
        ({"prompt": ["a", ""]}, "must be text"),
        ({"prompt": ["a"] * 129}, "more than 128"),
        ({"prompt": ""}, "text"),
        ({}, "text"),
        ({"prompt": "a", "suffix": "b"}, "fim"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
        ({"prompt": "a", "logprobs": 2}, "logprobs"),
    ],
)
def test_what_cannot_be_had_is_refused(body: dict[str, Any], hint: str) -> None:
    with pytest.raises(SurfaceError, match=hint):
        to_chat(body)


@pytest.mark.parametrize(("echo", "text"), [(False, "world"), (True, "hello world")])
def test_answers_are_text(echo: bool, text: str) -> None:
    found = exchange_of(Surface.COMPLETIONS, body={"prompt": "hello ", "echo": echo}, streamed=False)
    whole = orjson.loads(found.whole(orjson.dumps(CHAT)).body(None))
    assert whole["object"] == "text_completion"
    assert whole["id"] == "cmpl-1"
    assert whole["choices"] == [{"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}]
    assert whole["usage"] == CHAT["usage"]


def _streamed(asked: dict[str, Any], *deltas: dict[str, Any]) -> list[Any]:
    found = exchange_of(Surface.COMPLETIONS, body={"prompt": "hello ", **asked})
    chunks = [{"id": "chatcmpl-1", "created": 5, "choices": [{"index": 0, **delta}]} for delta in deltas]
    chunks.append({"id": "chatcmpl-1", "choices": [], "usage": CHAT["usage"]})
    text = "".join(found.stream.event(orjson.dumps(chunk).decode()) for chunk in chunks) + found.stream.finish(None)
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


def test_streams_are_text_with_the_prompt_first_where_it_is_wanted() -> None:
    deltas = (
        {"delta": {"role": "assistant"}},
        {"delta": {"content": "wor"}},
        {"delta": {"content": "ld"}},
        {"delta": {}, "finish_reason": "stop"},
    )
    *events, done = _streamed({"echo": True, "stream_options": {"include_usage": True}}, *deltas)
    read = [orjson.loads(event) for event in events]
    assert [choice["text"] for event in read for choice in event["choices"]] == ["hello ", "wor", "ld", ""]
    assert read[-2]["choices"][0]["finish_reason"] == "stop"
    assert (read[-1]["choices"], read[-1]["usage"], done) == ([], CHAT["usage"], "[DONE]")
    assert not any("usage" in event for event in _streamed({}, *deltas))


def test_who_has_completions_is_sent_them_as_they_are() -> None:
    asked = {"prompt": ["a", "b"], "logprobs": 1, "suffix": "c", "seed": 1}
    with pytest.raises(SurfaceError):
        exchange_of(Surface.COMPLETIONS, body=asked)
    found = exchange_of(Surface.COMPLETIONS, body=asked, native=["completions"])
    sent = orjson.loads(found.outgoing.content)
    assert {name: sent[name] for name in asked} == asked
    assert (found.outgoing.path, sent["stream_options"]) == ("/completions", {"include_usage": True})
    chunk = {"choices": [{"index": 0, "text": "äß", "finish_reason": None}]}
    assert '"text":"äß"' in found.stream.event(orjson.dumps(chunk).decode())
    assert found.stream.delivered_bytes == 4


@pytest.mark.parametrize("prompt", [None, "", [], 7])
def test_a_request_without_a_prompt_is_refused_at_the_door(prompt: Any) -> None:
    with pytest.raises(BadRequest, match="`prompt`"):
        parse(Surface.COMPLETIONS, orjson.dumps({"model": "m", "prompt": prompt}))


def test_several_prompts_and_choices_count_as_so_many_answers() -> None:
    asked = parse(Surface.COMPLETIONS, orjson.dumps({"model": "m", "prompt": ["a", "b"], "n": 2, "best_of": 3}))
    assert (asked.choices, asked.max_tokens) == (6, None)
    assert parse(Surface.COMPLETIONS, orjson.dumps({"model": "m", "prompt": [1, 2, 3]})).choices == 1


def _several(asked: dict[str, Any], *, streamed: bool) -> tuple[Exchange, list[Exchange]]:
    """The exchange of three prompts, and its parts, all of which have begun."""
    found = exchange_of(
        Surface.COMPLETIONS, "anthropic-messages", {"prompt": ["a", "b", "c"], **asked}, streamed=streamed
    )
    assert found.parts
    return found, [found.parts.begin(number) for number in range(found.parts.count)]


def test_each_of_several_prompts_is_a_call_of_its_own() -> None:
    found, parts = _several({"temperature": 0.5, "seed": 1}, streamed=False)
    sent = [orjson.loads(part.outgoing.content) for part in parts]
    assert [one["messages"][0]["content"][0]["text"] for one in sent] == ["a", "b", "c"]
    assert {one["temperature"] for one in sent} == {0.5}
    assert found.outgoing.dropped == ("seed",)


def test_the_answers_to_several_prompts_are_one_with_the_choices_in_order() -> None:
    found, parts = _several({"n": 2, "echo": True}, streamed=False)
    for number in (2, 0, 1):
        text = [{"type": "text", "text": f" answer {number}"}]
        usage = {"input_tokens": 1 + number, "output_tokens": 3}
        message = {"id": f"m{number}", "content": text, "stop_reason": "end_turn", "usage": usage}
        parts[number].whole(orjson.dumps(message))
    answer = found.whole(b"")
    whole = orjson.loads(answer.body(None))
    assert [(one["index"], one["text"]) for one in whole["choices"]] == [
        (0, "a answer 0"),
        (2, "b answer 1"),
        (4, "c answer 2"),
    ]
    assert answer.usage == TokenUsage(input_tokens=6, output_tokens=9)
    assert whole["usage"] == {"prompt_tokens": 6, "completion_tokens": 9, "total_tokens": 15}
    assert answer.delivered_bytes == 27


@given(order=st.permutations([number for number in range(3) for _ in range(3)]))
def test_streams_of_several_prompts_are_one_however_they_take_turns(order: list[int]) -> None:
    found, parts = _several({"stream_options": {"include_usage": True}}, streamed=True)
    events = [iter(_events(number)) for number in range(3)]
    text = ""
    for number in order:
        assert not found.stream.finished
        assert found.stream.usage is None
        for event in next(events[number]):
            text += found.stream.event(parts[number].stream.event(orjson.dumps(event).decode()))
    assert (found.stream.done, found.stream.usage) == (True, TokenUsage(input_tokens=6, output_tokens=9))
    text += found.stream.finish(None)
    assert text.endswith("data: [DONE]\n\n")
    read = events_of(text)
    assert len({event["id"] for event in read}) == 1
    assert read[-1]["usage"] == {"prompt_tokens": 6, "completion_tokens": 9, "total_tokens": 15}
    texts = {0: "", 1: "", 2: ""}
    for event in read:
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == {0: "answer 0", 1: "answer 1", 2: "answer 2"}


def _events(number: int) -> list[list[dict[str, Any]]]:
    """An answer of Anthropic's in three pieces."""
    usage = {"input_tokens": 1 + number, "output_tokens": 1}
    texts = [{"type": "text_delta", "text": text} for text in ("answer ", str(number))]
    deltas = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in texts]
    return [
        [{"type": "message_start", "message": {"id": f"m{number}", "usage": usage}}, deltas[0]],
        [deltas[1]],
        [
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ],
    ]


def test_a_provider_that_sends_more_choices_than_asked_for_is_not_believed() -> None:
    found = exchange_of(Surface.COMPLETIONS, body={"prompt": ["a", "b"]})
    assert found.parts
    part = found.parts.begin(0)
    chunk = {"id": "c", "choices": [{"index": 1, "delta": {"content": "x"}}]}
    with pytest.raises(ProtocolError):
        part.stream.event(orjson.dumps(chunk).decode())


def test_tokens_become_text_where_they_are_text() -> None:
    decode = partial(text_of, encoding="o200k")
    assert as_text({"prompt": [24912, 2375], "n": 1}, decode) == {"prompt": "hello world", "n": 1}
    assert as_text({"prompt": [[24912], "b"]}, decode)["prompt"] == ["hello", "b"]
    # A mark, a number beyond all tokens, what is no number, and half a character.
    for tokens in ([200_018], [2**40], [-1], [True], [24912, "b"], [4_103]):
        with pytest.raises(BadRequest, match="no text"):
            as_text({"prompt": tokens}, decode)
    with pytest.raises(BadRequest, match="no text"):
        as_text({"prompt": [1]}, lambda _tokens: None)


def test_each_prompt_has_the_context_window_to_itself() -> None:
    one = size_of({"prompt": "a" * 1_000}, 1_020)
    three = size_of({"prompt": ["a" * 1_000] * 3}, 3_020)
    assert (one.may_fit(50), three.may_fit(50), three.may_fit(70)) == (False, False, True)
    assert three.tokens_most >= 3_020 + 2 * 32
    assert size_of({"input": ["a" * 1_000] * 3}, 3_020).may_fit(70), "as each text to embed"
    assert size_of({"input": [[1, 2], [3]]}, 30).prompts == 2
    assert size_of({"input": [{"role": "user", "content": "a"}] * 3}, 90).prompts == 1
