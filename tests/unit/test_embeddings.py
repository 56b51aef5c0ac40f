"""Gemini's embeddings as OpenAI's: vectors in the form that was asked for, and counts."""

import base64
import struct
from typing import Any

import httpx2
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.protocol import ProtocolError
from tests.unit.streams import exchange_of

ANSWER = {"embeddings": [{"values": [0.25, -0.5, 3]}, {"values": [1e-3, 0, 7]}]}
COUNTED = TokenUsage(input_tokens=9)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def _answer(answer: Any, counted: TokenUsage | None = None, **asked: Any) -> dict[str, Any]:
    found = exchange_of(Surface.EMBEDDINGS, "gemini", {"input": ["a", "b"], **asked}, streamed=False)
    whole: dict[str, Any] = orjson.loads(found.whole(orjson.dumps(answer)).body(counted))
    return whole


@given(st.lists(floats, min_size=1, max_size=5))
def test_base64_is_of_floats_of_32_bits_the_least_byte_first(values: list[float]) -> None:
    whole = _answer({"embeddings": [{"values": values}]}, encoding_format="base64")
    text = whole["data"][0]["embedding"]
    assert list(struct.unpack(f"<{len(values)}f", base64.b64decode(text))) == values


def test_a_value_beyond_32_bits_is_refused() -> None:
    with pytest.raises(ProtocolError):
        _answer({"embeddings": [{"values": [1e300]}]}, encoding_format="base64")


@pytest.mark.parametrize("asked", [{}, {"encoding_format": "float"}, {"encoding_format": None}])
def test_numbers_are_the_default(asked: dict[str, Any]) -> None:
    assert [one["embedding"] for one in _answer(ANSWER, **asked)["data"]] == [[0.25, -0.5, 3], [1e-3, 0, 7]]


@pytest.mark.parametrize("embedding", [{"values": ["x"]}, {"values": None}, {}, 7])
@pytest.mark.parametrize("form", ["float", "base64"])
def test_what_is_no_vector_is_refused(embedding: Any, form: str) -> None:
    with pytest.raises(ProtocolError):
        _answer({"embeddings": [embedding]}, encoding_format=form)


@pytest.mark.parametrize("form", ["float", "base64"])
def test_openai_s_sdk_reads_both(form: Any) -> None:
    """Left alone it asks for base64, as the Node SDK does."""
    counted = {**ANSWER, "usageMetadata": {"promptTokenCount": 4}}

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=_answer(counted, **orjson.loads(request.content)))

    client = openai.OpenAI(
        api_key="k", base_url="http://x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )
    found = client.embeddings.create(model="a/b", input=["a", "b"], encoding_format=form)
    alone = client.embeddings.create(model="a/b", input=["a", "b"])
    assert [one.embedding for one in found.data if isinstance(one.embedding, list)] == (
        [] if form == "base64" else [[0.25, -0.5, 3], [1e-3, 0, 7]]
    )
    assert alone.data[0].embedding == [0.25, -0.5, 3]
    assert (alone.usage.prompt_tokens, alone.usage.total_tokens) == (4, 4)


def test_counts_are_gemini_s_where_it_gives_them() -> None:
    found = exchange_of(Surface.EMBEDDINGS, "gemini", {"input": "a"}, streamed=False)
    whole = found.whole(orjson.dumps({**ANSWER, "usageMetadata": {"promptTokenCount": 4}}))
    assert whole.usage == TokenUsage(input_tokens=4)
    assert orjson.loads(whole.body(None))["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize("usage", [None, {}, {"promptTokenCount": -1}, {"promptTokenCount": "4"}, 7])
def test_counts_are_ours_where_there_are_none(usage: Any) -> None:
    found = exchange_of(Surface.EMBEDDINGS, "gemini", {"input": "a"}, streamed=False)
    whole = found.whole(orjson.dumps({**ANSWER, "usageMetadata": usage}))
    assert whole.usage is None
    assert orjson.loads(whole.body(COUNTED))["usage"] == {"prompt_tokens": 9, "total_tokens": 9}


def test_other_answers_without_counts_have_ours_too() -> None:
    """As streams do."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    counted = TokenUsage(input_tokens=9, output_tokens=2)
    answer = b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}'
    for surface, expected in (
        (Surface.CHAT_COMPLETIONS, usage),
        (Surface.RESPONSES, {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}),
        (Surface.MESSAGES, {"input_tokens": 9, "output_tokens": 2}),
    ):
        whole = exchange_of(surface, streamed=False).whole(answer)
        assert whole.usage is None
        assert orjson.loads(whole.body(counted))["usage"].items() >= expected.items()
    embedded = exchange_of(Surface.EMBEDDINGS, body={"input": "a"}, streamed=False).whole(b'{"data":[]}')
    assert orjson.loads(embedded.body(COUNTED))["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
