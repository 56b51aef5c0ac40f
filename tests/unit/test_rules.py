"""Policy: which models and providers an organization leaves."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.requests import Caller
from services.policy.rules import allows, decide
from tests.unit.records import accepted, policy

PROVIDERS = {"stub/echo": ["stub"], "anthropic/claude": ["anthropic", "bedrock"]}
MEMBER = Caller(account_id="a", organization_id="o", role="member")


def test_unknown_model_is_refused_with_a_way_out() -> None:
    refusal = decide(accepted(model="no/such"), PROVIDERS, {}).refusal
    assert refusal is not None
    assert refusal.status == 400
    assert "GET /models" in refusal.message


def test_without_an_organization_or_policy_all_is_allowed() -> None:
    assert decide(accepted(), PROVIDERS, {"o": policy(model_allow=[])}).refusal is None
    assert decide(accepted(caller=MEMBER), PROVIDERS, {}).provider_ids == ["stub"]


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [(["stub/echo"], True), (["STUB/*"], True), (["anthropic/*"], False), ([], False), (None, True), (["*"], True)],
)
def test_model_allow_list(allow: list[str] | None, allowed: bool) -> None:
    decided = decide(accepted(caller=MEMBER), PROVIDERS, {"o": policy(model_allow=allow)})
    assert (decided.refusal is None) == allowed
    assert decided.policy_version == 3
    if decided.refusal:
        assert decided.refusal.status == 403


def test_provider_allow_list_restricts_the_route() -> None:
    request = accepted(caller=MEMBER, model="anthropic/claude")
    assert decide(request, PROVIDERS, {"o": policy(provider_allow=["bedrock"])}).provider_ids == ["bedrock"]
    refusal = decide(request, PROVIDERS, {"o": policy(provider_allow=["openai"])}).refusal
    assert refusal is not None
    assert refusal.status == 403


@given(st.text("ab/*", max_size=6), st.text("ab/", max_size=6))
def test_only_the_star_is_a_wildcard(pattern: str, model: str) -> None:
    assert allows([pattern], model) == fnmatchcase(model, pattern)
    assert not allows(["[ab]?" + pattern], "ab" + model)
