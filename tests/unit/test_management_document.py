"""The management API's OpenAPI document: a model for every answer."""

from typing import Any

import pytest

from services.console.api import description

DOCUMENT = description()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    if schema.get("type") == "array":
        return _resolved(schema["items"])
    return schema


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_answer_has_a_model(name: str, operation: dict[str, Any]) -> None:
    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    assert good, name
    for answer in good:
        assert _resolved(answer["content"]["application/json"]["schema"])["properties"], name
    assert operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _name, operation in OPERATIONS]
    assert len(set(names)) == len(names) > 30


WHOLE = {
    "{kind}/{owner_id}/provider-keys", "{kind}/{owner_id}/mcp-servers", "{kind}/{owner_id}/usage", "usage",
    "organizations/{organization_id}/teams", "provider-key-quotas", "signing-keys", "sinks", "alerts",
}  # fmt: skip
"""Lists that something else bounds: how many providers, servers, teams or sinks there may be, or their own `limit`."""


def test_a_list_says_how_it_goes_on() -> None:
    for name, operation in OPERATIONS:
        answer = next(iter(operation["responses"].values()))["content"]["application/json"]["schema"]
        if name.startswith("GET") and answer.get("type") == "array":
            parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert ({"limit", "cursor"} <= parameters) != (name.removeprefix("GET /api/") in WHOLE), name


def test_every_property_has_a_type() -> None:
    untyped = [
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if not {"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const"} & described.keys()
    ]
    assert not untyped
