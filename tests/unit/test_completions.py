"""OpenAI's completions from before chat, translated to chat or passed as they are."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.chat.surfaces.completions.request import to_chat
from libs.chat.surfaces.writer import SurfaceError
from services.ingress.core.bodies import parse
from services.ingress.core.errors import BadRequest
from tests.unit.streams import exchange_of

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
        ({"prompt": ["a", "b"]}, "one at a time"),
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
