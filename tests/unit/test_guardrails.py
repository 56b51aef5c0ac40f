"""What guardrails find in requests, what they leave of them, and that they take no longer for a hostile text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import PolicySet
from contracts.guardrails import Guardrails, Kind, TextPattern
from contracts.prices import PriceRule
from contracts.requests import Caller
from libs.config.catalog import Catalog
from libs.config.providers import Model, Provider
from libs.policy import expressions
from libs.policy.guardrails import PIECE, Checked, pieces_of
from services.console.core.policy_document import PolicyDocument, shown, stored
from services.console.errors import BadInput
from services.policy.core.rules import decide
from tests.unit.records import PRICE, Config, accepted

ALL = Guardrails(redact=list(Kind))
KEY = "sk-proj-" + "a1B2" * 8


def _done(body: dict[str, Any], rules: Guardrails = ALL) -> Checked:
    checked = Checked(body, rules)
    for _ in checked.steps():
        pass
    return checked


def _left(text: str, rules: Guardrails = ALL) -> str:
    checked = _done({"messages": [{"role": "user", "content": text}]}, rules)
    left: str = checked.body["messages"][0]["content"]
    return left


@pytest.mark.parametrize("body", [{"prompt": [1, 2]}, {"prompt": ["a", [1]]}, {"input": [[1, 2]]}])
def test_tokens_cannot_be_read_so_they_are_refused(body: dict[str, Any]) -> None:
    refused = _done(body).refused
    assert refused
    assert refused.rule == "guardrails.redact"
    assert _done(body, Guardrails(tools_allow=["a"])).refused is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("write to ada@example.com, please", "write to [EMAIL], please"),
        ("card 4111 1111 1111 1111.", "card [CREDIT_CARD]."),
        ("card 4111-1111-1111-1111", "card [CREDIT_CARD]"),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        ("DE89 3704 0044 0532 0130 00 is it", "[IBAN] is it"),
        ("BE68 5390 0754 7034 cash", "[IBAN] cash"),
        ("DE89 3704 0044 0532 0130 01", "DE89 3704 0044 0532 0130 01"),
        ("call +49 30 901820 now", "call [PHONE] now"),
        ("host 10.0.0.7:80", "host [IP]:80"),
        ("version 1.2.3.4.5 and 999.1.1.1", "version 1.2.3.4.5 and 999.1.1.1"),
        (f"key {KEY}!", "key [SECRET]!"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[SECRET]"),
        ("nothing at 12:30 on 2026-11-26, 3.14 or a@b", "nothing at 12:30 on 2026-11-26, 3.14 or a@b"),
    ],
)
def test_what_is_found_by_its_form(text: str, left: str) -> None:
    assert _left(text) == left


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a@b.example"}]}]}, "messages"),
        ({"input": "a@b.example"}, "input"),
        ({"input": [{"type": "message", "content": [{"type": "input_text", "text": "a@b.example"}]}]}, "input"),
        ({"system": [{"type": "text", "text": "a@b.example"}], "messages": []}, "system"),
        ({"instructions": "a@b.example"}, "instructions"),
        ({"prompt": ["a@b.example"]}, "prompt"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "a@b.example"}}]}
                ]
            },
            "messages",
        ),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "a@b.example"}]}, "messages"),
    ],
)
def test_texts_of_every_surface_are_read(body: dict[str, Any], path: str) -> None:
    checked = _done(body)
    assert checked.changed
    assert "a@b" not in str(checked.body[path])
    assert "[EMAIL]" in str(checked.body[path])
    denied = _done(body, Guardrails(deny=[Kind.EMAIL]))
    assert denied.refused
    assert denied.refused.rule == "guardrails.deny"


def test_media_and_identifiers_stay() -> None:
    body = {
        "model": "a@b.example",
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/?to=a@b.example"}}]},
            {"role": "tool", "tool_call_id": "a@b.example", "content": "x"},
        ],
    }
    checked = _done(body)
    assert (checked.changed, checked.body) == (False, body)


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        ({"tools": [{"type": "function", "function": {"name": "read_file"}}]}, True),
        ({"tools": [{"type": "function", "function": {"name": "delete"}}]}, False),
        ({"tools": [{"name": "read_it", "input_schema": {}}]}, True),
        ({"tools": [{"type": "web_search"}]}, False),
        ({"functions": [{"name": "delete"}]}, False),
        ({"mcp_servers": [{"type": "url", "name": "m"}]}, False),
        ({"tools": "nonsense", "functions": [3]}, True),
    ],
)
def test_tools_go_by_their_names(body: dict[str, Any], allowed: bool) -> None:
    checked = _done(body, Guardrails(tools_allow=["read_*"]))
    assert (checked.refused is None) is allowed
    if checked.refused:
        assert checked.refused.rule == "guardrails.tools_allow"


def test_words() -> None:
    refused = _done({"input": "Project BLUEBIRD"}, Guardrails(words_deny=["bluebird"])).refused
    assert refused
    assert refused.rule == "guardrails.words_deny"
    assert "luebird" not in refused.message


@given(st.text(alphabet="a 4.\n@-", max_size=300), st.integers(0, 5))
def test_pieces_are_the_text(text: str, times: int) -> None:
    whole = text * (times * 400)
    pieces = list(pieces_of(whole))
    assert "".join(pieces) == whole
    assert all(len(piece) <= PIECE + 1 for piece in pieces)


@pytest.mark.parametrize("hostile", ["a" * 200_000, "a." * 100_000, "1 " * 100_000, "+1(" * 60_000, "DE89 " * 40_000])
def test_a_hostile_text_is_read_piece_by_piece(hostile: str) -> None:
    steps = Checked({"input": hostile}, ALL).steps()
    assert sum(1 for _ in steps) >= len(hostile) // (PIECE + 1)


CATALOG = Catalog(
    Config(
        providers={"a": Provider(base_url="http://a")}, models=[Model(id="one/m", provider="a", upstream_model="m")]
    ),
    {"one/m": {"a": [PriceRule(price=PRICE)]}},
)


@pytest.mark.parametrize(("limit", "refused"), [(None, False), (10_000, False), (9_999, True), (0, True)])
def test_a_request_that_can_cost_too_much_is_refused(limit: int | None, refused: bool) -> None:
    request = accepted(
        model="one/m",
        caller=Caller(account_id="a", organization_id="o"),
        input_tokens_most=1_000,
        output_tokens_most=1_000,
    )
    policies = {"o": PolicySet(organization_id="o", version=1, guardrails=Guardrails(max_request_microdollars=limit))}
    verdict = decide(request, CATALOG, policies)
    assert (verdict.refusal is not None) is refused
    if verdict.refusal:
        assert verdict.refusal.metadata["rule"] == "guardrails.max_request_usd"


def test_a_policy_is_shown_as_it_was_set() -> None:
    document = PolicyDocument.model_validate(
        {"guardrails": {"max_request_usd": "0.500000", "redact": ["email"], "tools_allow": ["read_*"]}}
    )
    kept = stored(document)
    assert kept["guardrails"] == {
        "max_request_microdollars": 500_000,
        "redact": ["email"],
        "tools_allow": ["read_*"],
    }
    assert shown(kept) == document
    assert PolicySet(organization_id="o", version=1, **kept).guardrails


# Expressions of one's own.


def test_what_an_organization_looks_for_is_replaced_or_refused_by_its_name() -> None:
    rules = Guardrails(
        patterns=[
            TextPattern(name="ticket", regex=r"\bPROJ-\d{3,8}\b"),
            TextPattern(name="codename", regex="(?i)blue ?bird", action="deny"),
        ]
    )
    assert _left("see PROJ-1234 and PROJ-99 or PROJ-77777.", rules) == "see [TICKET] and PROJ-99 or [TICKET]."
    refused = _done({"messages": [{"role": "user", "content": "about BlueBird"}]}, rules).refused
    assert refused and refused.rule == "guardrails.patterns.codename" and "Blue" not in refused.message
    assert _done({"prompt": [1, 2]}, rules).refused


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("(", "no regular expression"),
        ("a+", "at most"),
        ("(ab?){0,400}c", "at most"),
        ("a{0,3}", "nothing at all"),
        ("^a", "no beginning"),
        ("a$", "no beginning"),
        (r"(?=a)b", "RE2"),
        (r"(a)\1", "RE2"),
    ],
)
def test_an_expression_that_cannot_be_a_rule_is_refused(regex: str, why: str) -> None:
    with pytest.raises(expressions.ExpressionError, match=why):
        expressions.check(regex)
    document = PolicyDocument.model_validate({"guardrails": {"patterns": [{"name": "a", "regex": regex}]}})
    with pytest.raises(BadInput, match="the pattern a"):
        stored(document)


@pytest.mark.parametrize(
    "regex", [r"(?i)\bacme-[0-9a-f]{8}\b", "a|bc", r"[^\s]{3,9}x", "日本.{0,4}", r"(a{1,20}){1,12}b"]
)
def test_an_expression_that_can_is_kept_and_takes_no_longer_for_a_hostile_text(regex: str) -> None:
    expressions.check(regex)
    given_ = {"guardrails": {"patterns": [{"name": "a", "regex": regex, "action": "deny"}]}}
    document = PolicyDocument.model_validate(given_)
    assert shown(stored(document)) == document
    list(expressions.spans("a" * 100_000, [TextPattern(name="a", regex=regex)]))
