"""A long text holds what it has in tokens and not in bytes, and never less than the model counts."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.pricing.bounds import MEDIA_TOKENS, size_of
from libs.pricing.tokenizing import SLICE, spared_tokens, tokenizer

TOKENIZER = tokenizer("o200k")
pytestmark = pytest.mark.skipif(TOKENIZER is None, reason="bpe-openai has no wheel for this machine")
ENGLISH = "The relay streams the answer to the client, and publishes what it used when it has ended.\n"
CODE = '    def charge(self, usage: UsageRecorded) -> int:\n        return self.prices["input"] * usage.tokens\n\n'
TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Reads a file from the user's workspace, from the first line to the last.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string", "description": "Which file."}}},
    },
}


def _tokens(text: str) -> int:
    return TOKENIZER.count(text) if TOKENIZER else 0


def _most(body: dict[str, Any]) -> int:
    most = {_most_of(raw) for raw in (to_json(body), json.dumps(body, indent=2).encode())}
    assert len(most) == 1, "how it is written changes nothing"
    return most.pop()


def _most_of(raw: bytes) -> int:
    body = from_json(raw)
    return replace(size_of(body, len(raw)), spared_tokens=sum(spared_tokens(body, len(raw)))).tokens_most


def _counted(body: dict[str, Any]) -> int:
    """As OpenAI's cookbook counts messages: three tokens around each, three for the answer's beginning."""
    return 3 + sum(3 + sum(_tokens(str(value)) for value in turn.values()) for turn in body["messages"])


def _chat(*contents: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    return {"model": "m/x", "messages": turns} | more


@pytest.mark.parametrize("text", [ENGLISH, CODE, "网关在回答结束后公布所用的令牌数量。"])
def test_a_long_text_holds_less_than_one_and_a_half_of_its_tokens(text: str) -> None:
    body = _chat(text * 2_000)
    assert _counted(body) <= _most(body) <= 1.5 * _counted(body)


PIECES = st.sampled_from(
    [ENGLISH, CODE, '"', "\\", "\n", " ", "a", "A", "1", "é", "e\u0301", "网", "👩‍👩‍👧", "\x00", "<|endoftext|>"]
)
TEXTS = st.lists(st.tuples(PIECES, st.integers(1, 300)), max_size=5).map(lambda runs: "".join(a * n for a, n in runs))


@given(st.lists(TEXTS | st.text(), min_size=1, max_size=6))
def test_no_text_is_bounded_by_less_than_it_counts(contents: list[str]) -> None:
    body = _chat(*contents)
    assert _counted(body) <= _most(body) <= len(to_json(body))


def test_a_text_is_counted_in_slices_between_which_others_go_on() -> None:
    assert len(list(spared_tokens(_chat("x" * (10 * SLICE)), 0))) >= 10
    assert len(list(spared_tokens(_chat(*[ENGLISH] * 10_000), 0))) >= 10_000 * len(ENGLISH) // SLICE


def test_nothing_is_known_of_a_body_that_was_not_kept() -> None:
    assert sum(spared_tokens({}, 10_000)) == 0


def test_media_are_no_text_and_hide_none() -> None:
    data = "data:image/png;base64," + "A" * 100_000
    image = {"type": "image_url", "image_url": {"url": data}}
    turns = [{"role": "user", "content": [image]}]
    assert MEDIA_TOKENS <= _most({"messages": turns}) <= MEDIA_TOKENS + 200
    short = "A b" * 10
    hidden = [{"type": "image_url", "image_url": {"url": short}}, *[{"type": "text", "text": short}] * 5_000]
    assert _most({"messages": [{"role": "user", "content": hidden}]}) >= MEDIA_TOKENS + 5_000 * _tokens(short)


def test_tools_are_bounded_by_more_than_the_text_that_they_become() -> None:
    """OpenAI writes functions as TypeScript, with a line for each name and each description."""
    written = "// {d}\ntype {n} = (_: {{\n// {p}\npath?: string,\n}}) => any;\n\n"
    function: Any = TOOL["function"]
    text = written.format(d=function["description"], n=function["name"], p="Which file.")
    body = _chat(ENGLISH * 50, tools=[TOOL] * 100)
    assert _most(body) >= _counted(body) + 100 * _tokens(text)


def test_openai_s_models_are_counted_so_wherever_they_run_and_others_are_not() -> None:
    counted_by = Catalog(GatewayConfig()).counted_by
    newest = {"openai/gpt-5.2", "openai/gpt-5-mini", "openai/gpt-4.1", "openai/gpt-4o-mini"}
    assert newest <= {model for model, encoding in counted_by.items() if encoding == "o200k"}
    assert all(model_id.startswith("openai/") for model_id in counted_by)
