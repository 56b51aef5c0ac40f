"""What clients of several gateways name their requests by, and how much of it is taken."""

from typing import Any

import pytest

from contracts.labels import Labels
from contracts.requests import Surface
from services.ingress.core.bodies import parse
from services.ingress.core.errors import BadRequest
from services.ingress.core.labels import labels


@pytest.mark.parametrize(
    ("body", "headers", "found"),
    [
        ({}, {}, None),
        ({"user": ""}, {}, None),
        ({"user": "u1"}, {}, Labels(customer="u1")),
        ({"safety_identifier": "s"}, {}, Labels(customer="s")),
        ({"metadata": {"user_id": "claude"}}, {}, Labels(customer="claude")),
        ({"tags": ["a", "b", "a"]}, {}, Labels(tags=["a", "b"])),
        ({"tags": "a, b"}, {}, Labels(tags=["a", "b"])),
        (
            {"metadata": {"tags": ["x"], "team": "search", "spend_logs_metadata": {"a": {}}}},
            {},
            Labels(tags=["x"], metadata={"team": "search"}),
        ),
        ({"metadata": {"n": 3, "good": True, "none": None}}, {}, Labels(metadata={"n": "3", "good": "true"})),
        ({"tags": ["b"]}, {"x-sluice-tags": "a, b"}, Labels(tags=["a", "b"])),
        ({}, {"x-litellm-tags": "a,b"}, Labels(tags=["a", "b"])),
        ({"user": "u"}, {"x-sluice-customer": "c"}, Labels(customer="c")),
        ({}, {"x-litellm-end-user-id": "c"}, Labels(customer="c")),
        ({"metadata": "text", "user": 7, "tags": 7}, {}, None),
    ],
)
def test_each_gateway_s_shape(body: dict[str, Any], headers: dict[str, str], found: Labels | None) -> None:
    assert labels(body, headers) == found


@pytest.mark.parametrize(
    "body",
    [
        {"tags": [str(number) for number in range(17)]},
        {"tags": ["x" * 65]},
        {"tags": ["a\nb"]},
        {"tags": [1]},
        {"user": "u" * 257},
        {"user": "a\x00b"},
        {"metadata": {str(number): "" for number in range(17)}},
        {"metadata": {"n" * 65: ""}},
        {"metadata": {"n": "v" * 513}},
        {"metadata": {"n": "\x00"}},
        {"metadata": {"n": "\ud800"}},
    ],
)
def test_too_much_of_it_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        labels(body, {})


def test_a_value_may_have_lines() -> None:
    assert labels({"metadata": {"n": "a\nb"}}, {}) == Labels(metadata={"n": "a\nb"})


def test_a_form_names_its_user() -> None:
    asked = parse(Surface.SPEECH, b'{"model":"a/b","input":"x","voice":"v","user":"u","tags":["t"]}')
    assert labels(asked.named, {}) == Labels(tags=["t"], customer="u")
