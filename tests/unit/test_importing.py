"""What LiteLLM's and OpenRouter's files become, and what is said of the rest. No secret of theirs is carried over."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.home import ROOT
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.pricing.book import check_prices
from services.cli.importing import litellm, litellm_teams, openrouter
from services.cli.importing.budgets import limits_of
from services.cli.importing.found import Found, Known
from services.cli.importing.rows import rows_of

EXAMPLES = ROOT / "docs/examples/litellm"
KNOWN = Known.read()
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def _loaded(found: Found, tmp_path: Path) -> GatewayConfig:
    """As a service reads it."""
    path = tmp_path / "made.yaml"
    path.write_text(found.document("a test"))

    class Made(GatewayConfig):
        file: ClassVar[Path | None] = path

    config = Made()
    check_prices(Catalog(config))
    return config


def _example() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((EXAMPLES / "config.yaml").read_text())
    return content


def test_a_proxy_s_models_keys_and_aliases(tmp_path: Path) -> None:
    found = litellm.imported(_example(), KNOWN)
    config = _loaded(found, tmp_path)
    catalog = Catalog(config)
    assert {name: auto.default.model for name, auto in config.auto.items()} == {
        "gpt-4o": "openai/gpt-4o",
        "gpt-4": "openai/gpt-4o",
        "claude": "anthropic/claude-sonnet-4.6",
        "local": "ollama/local",
    }
    offers = {offer.provider_id: offer for offer in catalog.all_of("openai/gpt-4o")}
    assert offers.keys() == {"openai", "azure"}
    assert offers["azure"].provider.base_url == "https://mine.openai.azure.com/openai/v1"
    assert offers["azure"].provider.api_key == "env:AZURE_KEY"
    assert offers["azure"].model.upstream_model == "gpt-4o-mine"
    assert config.providers["ollama"].base_url == "http://127.0.0.1:11434/v1"
    assert config.timeouts.request_s == 120
    assert config.fallbacks == {"openai/gpt-4o": ["anthropic/claude-sonnet-4.6"]}
    assert (config.routing.retries, config.answer_cache.enabled) == (3, True)


def test_what_could_not_be_said_is_listed() -> None:
    found = litellm.imported(_example(), KNOWN)
    reported = "\n".join(found.unmapped)
    for part in ("nobody-knows: no price", "rpm", "weight", "routing_strategy", "master_key"):
        assert part in reported
    assert any("ANTHROPIC_API_KEY" in line for line in found.to_do)
    assert any("LANGFUSE_SECRET_KEY" in line for line in found.to_do)


def test_no_secret_is_carried_over() -> None:
    found = litellm.imported(_example(), KNOWN)
    assert "in-the-clear" not in found.document("x") + "".join(found.unmapped) + "".join(found.to_do)


def test_two_addresses_of_one_provider_are_two_providers(tmp_path: Path) -> None:
    params = {"model": "hosted_vllm/m", "api_base": "http://a:8000/v1"}
    entries = [
        {"model_name": "m", "litellm_params": params},
        {"model_name": "m", "litellm_params": {**params, "api_base": "http://b:8000/v1"}},
        {"model_name": "m", "litellm_params": params},
    ]
    found = litellm.imported({"model_list": entries}, KNOWN)
    config = _loaded(found, tmp_path)
    assert [config.providers[model.provider].base_url for model in config.models] == [
        "http://a:8000/v1",
        "http://b:8000/v1",
    ]
    assert len(found.unmapped) == 1


def test_a_wildcard_brings_all_that_is_known_of_a_provider(tmp_path: Path) -> None:
    entry = {"model_name": "anthropic/*", "litellm_params": {"model": "anthropic/*", "api_key": "os.environ/KEY"}}
    config = _loaded(litellm.imported({"model_list": [entry]}, KNOWN), tmp_path)
    assert len(config.models) == sum(one["provider"] == "anthropic" for one in KNOWN.models)
    assert config.providers["anthropic"].api_key == "env:KEY"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
_PARAMS = st.dictionaries(st.sampled_from(["model", "api_key", "api_base", "rpm", "input_cost_per_token"]), _JSON)


@settings(max_examples=30)
@given(st.lists(st.fixed_dictionaries({"model_name": _JSON, "litellm_params": _PARAMS | _JSON, "model_info": _JSON})))
def test_any_model_list_is_read(entries: list[dict[str, Any]]) -> None:
    litellm.imported({"model_list": entries, "router_settings": {"model_group_alias": {"a": 1}}}, KNOWN).document("x")


def test_teams_become_organizations_and_keys_are_made_anew() -> None:
    plan = litellm_teams.planned(
        rows_of(EXAMPLES / "teams.csv"), rows_of(EXAMPLES / "keys.json"), rows_of(EXAMPLES / "users.json"), {}, NOW
    )
    (organization,) = plan.organizations
    assert organization.members == {
        "ada@example.com": "owner",
        "grace@example.com": "member",
        "search-keys@import.invalid": "member",
    }
    assert organization.policy == {"model_allow": ["stub/echo"]}
    assert [(key.name, key.email, key.organization) for key in plan.keys] == [
        ("nightly", "grace@example.com", "search"),
        ("service", "search-keys@import.invalid", "search"),
    ]
    assert organization.limits == {"usd_per_month": "100.000000"}
    assert [key.limits for key in plan.keys] == [{}, {"tokens_per_minute": 1000}]
    assert plan.unmapped == ["key old: it is blocked or has expired"]
    assert {"make": "limits", "name": "tokens_per_minute 1000", "for": "key service"} in plan.rows()


def test_budgets_of_windows_become_limits_and_others_are_listed() -> None:
    row = {"rpm_limit": "60", "tpm_limit": 1e3, "max_parallel_requests": 4, "max_budget": 2.5, "budget_duration": "24h"}
    limits: dict[str, Any] = {"requests_per_minute": 60, "tokens_per_minute": 1000, "concurrent": 4}
    assert limits_of(row, "team t") == (limits | {"usd_per_day": "2.500000"}, [])
    for every, why in (("45d", "hour, day, week or month"), (None, "credit is prepaid")):
        found, unmapped = limits_of({"max_budget": 100, "spend": 20, "budget_duration": every}, "team t")
        assert found == {}
        assert "80 are left" in unmapped[0]
        assert why in unmapped[0]


@given(st.dictionaries(st.sampled_from(["rpm_limit", "max_budget", "spend", "budget_duration"]), _JSON))
def test_any_budget_is_read(row: dict[str, Any]) -> None:
    limits_of(row, "key k")


def test_a_team_without_an_admin_has_an_owner_all_the_same() -> None:
    plan = litellm_teams.planned([{"team_id": "t", "members_with_roles": "nonsense", "models": None}], [], [], {}, NOW)
    assert plan.organizations[0].owner == "t-owner@import.invalid"
    assert plan.organizations[0].owner in plan.accounts.values()


def test_openrouter_s_models_keep_their_ids(tmp_path: Path) -> None:
    activity = [{"model": "anthropic/claude-sonnet-4.6"}, {"model_permaslug": "rare/model"}, {"model": "no/price"}]
    listed = [
        {"id": "rare/model", "name": "Rare", "context_length": 9, "pricing": {"prompt": "0.1", "completion": "0.2"}}
    ]
    found = openrouter.imported(openrouter.models_in(activity), listed, KNOWN)
    config = _loaded(found, tmp_path)
    providers = {model.id: model.provider for model in config.models}
    assert providers["rare/model"] == "openrouter"
    assert "anthropic" in {model.provider for model in config.models if model.id == "anthropic/claude-sonnet-4.6"}
    assert "no/price" in "".join(found.unmapped)


def test_openrouter_s_keys() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "a", "limit": 5},
        {"label": "sk-or-v1-abc...123"},
        {"name": "off", "disabled": True},
        {"name": "monthly", "limit": 12.5, "limit_reset": "monthly", "usage": 40},
        {"name": "weekly", "limit": 1, "limit_reset": "weekly"},
        {"name": "daily", "limit": 0, "limit_reset": "daily"},
        {"name": "hourly", "limit": 2, "limit_reset": "hourly"},
    ]
    plan = openrouter.keys_of(rows, "me@example.com")
    assert {key.name: key.limits for key in plan.keys} == {
        "a": {},
        "sk-or-v1-abc...123": {},
        "monthly": {"usd_per_month": "12.500000"},
        "weekly": {"usd_per_week": "1.000000"},
        "daily": {"usd_per_day": "0.000000"},
        "hourly": {},
    }
    assert [line.partition(":")[0] for line in plan.unmapped] == ["key a", "key off", "key hourly"]


@pytest.mark.parametrize("text", ["{", "3", '{"a": 1}', "[1]"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    from deploy.local.errors import StackError

    (tmp_path / "x.json").write_text(text)
    with pytest.raises(StackError):
        rows_of(tmp_path / "x.json")
