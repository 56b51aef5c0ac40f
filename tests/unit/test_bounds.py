"""What an input can count at most, on every surface, before anybody has counted it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from libs.pricing.bounds import MEDIA_TOKENS, MOST_CONTEXT_TOKENS, Size, size_of

DATA = "A" * 1_000
URL = f"data:image/png;base64,{DATA}"
BASE64 = {"type": "base64", "media_type": "image/png", "data": DATA}


def _size(body: dict[str, Any]) -> tuple[Size, int]:
    raw = to_json(body)
    return size_of(body, len(raw)), len(raw)


def _turns(part: Any) -> list[dict[str, Any]]:
    """Where a part may stand on the surfaces that have it."""
    result = {"type": "tool_result", "tool_use_id": "t", "content": [part]}
    return [
        {"messages": [{"role": "user", "content": [part]}]},
        {"messages": [{"role": "user", "content": [result]}]},
        {"input": [{"role": "user", "content": [part]}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [part]}]},
        {"input": [{"type": "computer_call_output", "call_id": "c", "output": part}]},
    ]


@pytest.mark.parametrize(
    ("part", "inline"),
    [
        ({"type": "image_url", "image_url": {"url": URL}}, len(URL)),
        ({"type": "image_url", "image_url": URL}, len(URL)),
        ({"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}, 0),
        ({"type": "input_image", "image_url": URL}, len(URL)),
        ({"type": "input_image", "file_id": "file-1"}, 0),
        ({"type": "computer_screenshot", "image_url": URL}, len(URL)),
        ({"type": "image", "source": BASE64}, len(DATA)),
        ({"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}}, 0),
    ],
)
def test_an_image_counts_as_one_not_by_its_bytes(part: dict[str, Any], inline: int) -> None:
    for body in _turns(part):
        size, most = _size(body)
        assert size.tokens_most == most - inline + MEDIA_TOKENS, body
        assert size.tokens_least == (most - inline) // 16, body


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": URL}},
        {"type": "input_file", "filename": "a.pdf", "file_data": URL},
        {"type": "document", "source": BASE64},
        {"type": "video_url", "video_url": {"url": URL}},
        {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
    ],
)
def test_pages_and_minutes_may_fill_the_context_window_and_may_have_few_tokens(part: dict[str, Any]) -> None:
    for body in _turns(part):
        size, _most = _size(body)
        assert size.tokens_most == MOST_CONTEXT_TOKENS
        assert size.tokens_least < len(DATA) // 16


def test_a_picture_that_the_model_drew_counts_as_one() -> None:
    size, most = _size({"input": [{"type": "image_generation_call", "id": "ig_1", "result": DATA}]})
    assert size.tokens_most == most - len(DATA) + MEDIA_TOKENS


json_values = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_what_only_looks_like_an_image_is_text(value: Any) -> None:
    """Arguments of tools are whatever the client likes, and are read by the model as text."""
    image = {"type": "image", "source": BASE64, "more": value}
    for body in (
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": image}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": DATA}}]}]},
        {"messages": [{"role": "user", "content": "x", "image": image}]},
        {"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "f", "input_schema": image}]},
        {"prompt": DATA, "suffix": DATA},
        {"input": DATA, "metadata": image},
        {"input": [value], "messages": value},
    ):
        size, most = _size(body)
        assert size.tokens_most == most, body


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://example.com/a.pdf"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "file_1"}]}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"mcp_servers": [{"type": "url", "url": "x"}]},
        {"web_search_options": {}},
    ],
)
def test_what_the_provider_adds_has_only_the_context_window_for_a_limit(more: dict[str, Any]) -> None:
    size, _ = _size({"model": "m/x", **more})
    assert size.tokens_most == MOST_CONTEXT_TOKENS


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "name": "f"},
        {"type": "function", "function": {"name": "f"}},
        {"type": "custom", "name": "apply_patch"},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"name": "f", "input_schema": {}},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "computer_20251124", "name": "computer"},
        {"type": "memory_20250818", "name": "memory"},
    ],
)
def test_tools_that_the_client_runs_add_nothing_that_it_does_not_send(tool: dict[str, Any]) -> None:
    size, most = _size({"model": "m/x", "tools": [tool]})
    assert size.tokens_most == most
