"""Conditions in CEL: over what is known of a request, bounded in every way, and closed where they fail."""

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.guardrails import MOST_CONDITION_CHARACTERS, Condition, Guardrails
from contracts.labels import Labels
from contracts.requests import Caller, RequestAccepted, Surface
from deploy.local.home import ROOT
from libs.policy.conditions import FUNCTIONS, NAMES, ConditionError, check, facts, holds
from services.policy.core.rules import refused_by_condition
from tests.unit.records import accepted

REQUEST = accepted(
    model="openai/gpt-5",
    caller=Caller(account_id="a", organization_id="o", role="member", key_fingerprint="k"),
    labels=Labels(tags=["batch", "night"], customer="c1"),
    input_tokens_most=12_000,
)


def _holds(expression: str, request: RequestAccepted = REQUEST) -> bool:
    return holds(expression, facts(request, 2_500_000))


def test_what_is_named_is_what_is_known() -> None:
    assert facts(REQUEST, 0).keys() == NAMES


@pytest.mark.parametrize(
    ("expression", "held"),
    [
        ("model.startsWith('openai/') && role == 'member'", True),
        ('role != "owner" && usd > 1.0', True),
        ("input_tokens > 10000 && !('batch' in tags)", False),
        ("tags.size() == 2 || stream", True),
        ("model.matches('^openai/gpt-[0-9]$')", True),
        ("model.contains('gpt') ? customer == 'c1' : false", True),
        ("hour >= 0 && hour < 24 && weekday <= 7", True),
        ("surface == 'mcp' && tool.endsWith('_delete')", False),
        ("double(input_tokens) / 1000.0 > 11.5", True),
    ],
)
def test_what_conditions_can_say(expression: str, held: bool) -> None:
    check(expression)
    assert _holds(expression) is held


def test_a_tool_has_its_server() -> None:
    request = accepted(surface=Surface.MCP, model="mcp/db", tool="drop_table")
    assert _holds("server == 'db' && tool.startsWith('drop')", request)


@pytest.mark.parametrize(
    "expression",
    [
        "tags.all(x, true)",
        "[1, 2].map(x, x)",
        "tags.exists (t, t == 'a')",
        "tags . filter(t, true)",
        "cel.bind(x, 1, true)",
        "rol == 'member'",
        "true || nothing",
        "model.there == 'x'",
        "`map`(1)",
        "{'a': 1}.size() == 1",
        "r'''x''' == 'x'",
        "model ==",
        "prompt.contains('x')",
        "",
        "true " * MOST_CONDITION_CHARACTERS,
        "timestamp('2026-01-01T00:00:00Z') == 1",
        "model; role",
    ],
)
def test_what_is_no_condition(expression: str) -> None:
    with pytest.raises(ConditionError):
        check(expression)


@pytest.mark.parametrize(
    "expression", ["model", "1", "model + input_tokens == 'x'", "1 / 0 == 1", "model.matches('(')"]
)
def test_what_cannot_be_decided_refuses(expression: str) -> None:
    with pytest.raises(ConditionError):
        _holds(expression)
    verdict = refused_by_condition(REQUEST, 0, Guardrails(conditions=[Condition(name="one", refuse_when=expression)]))
    assert verdict and verdict.rule == "guardrails.conditions.one"


SIGNS = ("&&", "||", "!", "==", "<", ">", "in", "(", ")", "[", "]", ",", ".", "?", ":", "+", "-", "*", "/", "%")
OTHERS = ("1", "2.5", "'a'", '"b"', "true", "'('", "9223372036854775807")


@given(st.lists(st.sampled_from([*sorted(NAMES | FUNCTIONS), *SIGNS, *OTHERS]), max_size=12))
def test_any_words_are_decided_or_refused(words: list[str]) -> None:
    with suppress(ConditionError):
        assert _holds(" ".join(words)) in (True, False)


def test_what_is_as_deep_as_it_can_be_is_answered() -> None:
    half = MOST_CONDITION_CHARACTERS // 2 - 2
    for expression in ("(" * half + "true" + ")" * half, "!" * (2 * half) + "true", "[" * half + "]" * half):
        with suppress(ConditionError):
            _holds(expression)


def test_the_first_that_holds_refuses_in_its_own_words() -> None:
    rules = Guardrails(
        conditions=[
            Condition(name="never", refuse_when="false"),
            Condition(name="large", refuse_when="input_tokens > 8000", message="Summarise first."),
            Condition(name="also", refuse_when="true"),
        ]
    )
    verdict = refused_by_condition(REQUEST, 0, rules)
    assert verdict and verdict.status == 403
    assert verdict.message == "Summarise first (guardrails.conditions.large); its owner can change that."
    assert refused_by_condition(REQUEST, 0, Guardrails()) is None


def test_a_service_loads_the_library_alone() -> None:
    """Services do without `rich`, see `libs.runtime.quick_start`."""
    script = (
        "import sys, libs.runtime.quick_start\n"
        "from libs.policy.conditions import holds\n"
        "assert holds('hour < 6', {'hour': 1})\n"
        "assert not {'typer', 'prompt_toolkit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
