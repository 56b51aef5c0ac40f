"""Models side by side: what each endpoint costs and can, and no row that says nothing."""

from dataclasses import replace

from contracts.prices import Price, PriceRule, Rates, UnitRate
from libs.config.catalog import Offer
from libs.config.providers import Model, Provider
from services.console.core.endpoints import rows

RATES = [
    Rates(input=1_250_000, output=10_000_000),
    Rates(above_input_tokens=200_000, input=2_500_000, output=15_000_000),
]


def _offer(provider_id: str, rates: list[Rates], **more: object) -> Offer:
    model = Model.model_validate({"id": "a/b", "provider": provider_id, "upstream_model": "b"} | more)
    rules = [PriceRule(price=Price(version="v", tiers=rates))] if rates else []
    return Offer(model, provider_id, Provider(base_url="https://api.example.com"), rules)


def test_what_differs_is_told_from_what_does_not() -> None:
    found = {row.name: row for row in rows([_offer("one", RATES, context_length=128_000), _offer("two", [])], 0)}
    assert found["Input, a million tokens"].values == ["$1.25", "-"]
    assert found["Context, tokens"].values == ["128,000", "-"]
    assert found["Long inputs"].values == ["above 200,000: $2.50 in, $15.00 out", "-"]
    assert found["Input, a million tokens"].differs
    assert not found["Keeps prompts"].differs


def test_prices_are_exact_and_units_are_priced_each() -> None:
    cents = [
        Rates(input=125_000, output=75_000, cache_read=12_500),
        Rates(above_input_tokens=9, input=1, output=2_000_005),
    ]
    rules = [
        PriceRule(price=Price(version="v", tiers=cents, units=[UnitRate(unit="image", kind="hd", rate=40_000_000_000)]))
    ]
    found = {row.name: row.values for row in rows([replace(_offer("one", cents), prices=rules)], 0)}
    assert found["Input, a million tokens"] == ["$0.125"]
    assert found["Read from the prompt cache"] == ["$0.0125"]
    assert found["Long inputs"] == ["above 9: $0.000001 in, $2.000005 out"]
    assert found["Other units, each"] == ["image hd $0.04"]


def test_a_property_that_none_has_is_left_out() -> None:
    found = {row.name for row in rows([_offer("one", RATES[:1])], 0)}
    assert not found & {"Long inputs", "Other units, each", "Context, tokens", "Reasoning", "Released"}


def test_a_free_model_costs_nothing() -> None:
    found = {row.name: row.values for row in rows([_offer("one", [], id="a/b:free")], 0)}
    assert (found["Input, a million tokens"], found["Output"]) == (["free"], ["free"])
