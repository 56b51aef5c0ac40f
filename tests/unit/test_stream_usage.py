"""Who is sent the counts of a stream: who asked. The provider is always asked for them."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from contracts.usage import TokenUsage
from tests.unit.streams import MESSAGES, events_of, exchange_of

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ANSWER = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}], "usage": USAGE}
COUNTED = TokenUsage(input_tokens=5, output_tokens=2)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, False),
        ({"stream_options": None}, False),
        ({"stream_options": {}}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
        ({"usage": {"include": False}}, False),
        ({"usage": {"include": True}}, True),
        ({"usage": {"include": True}, "stream_options": {"include_usage": False}}, True),
        ({"usage": True, "stream_options": "all"}, False),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_a_client_of_chat_completions_gets_counts_if_it_asks(asked: dict[str, Any], wanted: bool, told: bool) -> None:
    """OpenAI's own example reads ``choices[0]`` of each chunk; OpenRouter's clients ask with ``usage``."""
    found = exchange_of(Surface.CHAT_COMPLETIONS, body={"messages": MESSAGES, **asked})
    sent = orjson.loads(found.outgoing.content)
    assert sent["stream_options"]["include_usage"] is True
    answer = ANSWER if told else {"choices": ANSWER["choices"]}
    text = found.stream.event(orjson.dumps(answer).decode()) + found.stream.finish(None if told else COUNTED)
    assert text.endswith("data: [DONE]\n\n")
    events = events_of(text)
    assert [event["usage"] for event in events if not event["choices"]] == [USAGE] * wanted
    assert all("usage" not in event for event in events if event["choices"])
    assert found.stream.usage == (COUNTED if told else None)


def test_fill_in_the_middle_always_ends_with_counts() -> None:
    """Mistral, whose API it is, sends them unasked."""
    found = exchange_of(Surface.FIM, body={"prompt": "def"})
    found.stream.event(orjson.dumps(ANSWER).decode())
    assert events_of(found.stream.finish(None))[-1]["usage"] == USAGE
