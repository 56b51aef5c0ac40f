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


def test_a_list_says_how_it_goes_on() -> None:
    for name, operation in OPERATIONS:
        if name in ("GET /api/accounts", "GET /api/audit", "GET /api/organizations/{organization_id}/members"):
            assert {"limit", "cursor"} <= {parameter["name"] for parameter in operation["parameters"]}
