"""Fields that cost more than tokens are named, and nothing else is."""

from typing import Any

import pytest

from libs.pricing.surcharges import surcharge, without_hosted_tools

USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": {"x": 1}}, "service_tier"),
        ({"speed": "fast"}, "speed"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"search_parameters": {"mode": "on"}}, "search_parameters"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"mcp_servers": [{"type": "url", "url": "x"}]}, "mcp_servers"),
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "mcp", "server_url": "x"}]}, "mcp"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "file_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"file_id": "f"}}]}]}, "file_id"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "file_id"),
    ],
)
def test_what_is_dearer_is_named_and_passes_where_the_operator_pays(more: dict[str, Any], name: str) -> None:
    body = {"model": "m/x", "messages": [USER], **more}
    found = surcharge(body)
    assert found is not None and name in found
    assert surcharge(body, [name]) is None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"service_tier": "auto"},
        {"service_tier": "flex"},
        {"service_tier": None, "store": False, "mcp_servers": [], "speed": "standard"},
        {"tools": [{"type": "function", "function": {"name": "file_id"}}, {"type": "custom", "name": "apply_patch"}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}, {"name": "of_anthropic", "input_schema": {}}]},
        {"prompt": "text", "suffix": "text"},
        {"metadata": {"file_id": "mine", "service_tier": "priority"}},
        {"tools": "no list", "messages": None},
    ],
)
def test_what_costs_tokens_alone_passes(more: dict[str, Any]) -> None:
    assert surcharge({"model": "m/x", "messages": [USER], **more}) is None


def test_hosted_tools_are_left_out_beside_others_and_stay_alone() -> None:
    function, search = {"type": "function", "name": "f"}, {"type": "web_search"}
    found = {"type": "tool_search", "execution": "client"}
    body = {"model": "m/x", "tools": [function, search, found]}
    assert without_hosted_tools(body) == ({"model": "m/x", "tools": [function, found]}, ["web_search"])
    assert without_hosted_tools(body, ["web_search"]) == (body, [])
    for same in ({"tools": [search]}, {"tools": [function]}, {"tools": None}, {"tools": "x"}, {}):
        assert without_hosted_tools(same) == (same, [])
