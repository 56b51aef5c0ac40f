"""The management API's document: every answer has a model, every refusal is a problem, every operation a name."""

from collections.abc import Iterator
from typing import Any

import pytest

from services.console.api import description

DOCUMENT = description()
PROBLEMS = {"4XX", "5XX"}


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


@pytest.mark.parametrize(("name", "operation"), _operations(), ids=lambda one: one if isinstance(one, str) else "")
def test_answers_have_models_and_refusals_are_problems(name: str, operation: dict[str, Any]) -> None:
    good = {status: answer for status, answer in operation["responses"].items() if status not in PROBLEMS}
    assert len(good) == 1, name
    for answer in good.values():
        schema = answer["content"]["application/json"]["schema"]
        assert "$ref" in (schema["items"] if schema.get("type") == "array" else schema), name
    for status in PROBLEMS:
        assert set(operation["responses"][status]["content"]) == {"application/problem+json"}, name
    assert operation["operationId"].isidentifier()


def test_no_two_operations_have_one_name() -> None:
    names = [operation["operationId"] for _, operation in _operations()]
    assert len(names) == len(set(names)) > 80


def test_no_property_is_anything_at_all() -> None:
    """But where a document is handed through: what was audited, and a version of the catalog."""
    open_ended = {
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not {"type", "$ref", "anyOf", "allOf", "enum", "const", "oneOf"} & set(described)
    }
    assert open_ended == set()


WHOLE = {
    "{kind}/{owner_id}/provider-keys", "{kind}/{owner_id}/mcp-servers", "{kind}/{owner_id}/usage", "usage",
    "organizations/{organization_id}/teams", "provider-key-quotas", "signing-keys", "sinks", "alerts",
}  # fmt: skip
"""Lists that something else bounds: how many providers, servers, teams or sinks there may be, or their own `limit`."""


def test_lists_come_in_pages() -> None:
    whole = {
        name.removeprefix("get /api/")
        for name, operation in _operations()
        if name.startswith("get")
        and operation["responses"]["200"]["content"]["application/json"]["schema"].get("type") == "array"
        and "cursor" not in {one["name"] for one in operation.get("parameters", ())}
    }
    assert whole == WHOLE
