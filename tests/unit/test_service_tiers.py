"""A provider's tier for less: asked for in its own words, priced as its answer says."""

import json
from typing import Any

import pytest
from hypothesis import given

from contracts.prices import Price
from contracts.requests import Surface
from contracts.usage import TokenUsage
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.providers.tiers import with_tier
from libs.config.catalog import Catalog
from libs.config.gateway import load_config
from libs.config.providers import Model, Provider
from libs.pricing.book import price_list
from libs.pricing.cost import MILLION, cost_microdollars
from libs.pricing.tiers import at_tier
from tests.unit.records import Config
from tests.unit.test_pricing import prices, tokens

BASE = "http://127.0.0.1:1/v1"


def _call(body: dict[str, Any], *, flex: bool = False) -> Call:
    return Call(
        Surface.CHAT_COMPLETIONS, body, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1, flex=flex
    )


@given(prices(), tokens())
def test_half_a_price_is_half_of_the_cost(price: Price, used: TokenUsage) -> None:
    even = price.model_copy(
        update={
            "tiers": [
                one.model_copy(
                    update={
                        name: None if rate is None else rate * 2
                        for name, rate in one.model_dump(exclude={"above_input_tokens"}).items()
                    }
                )
                for one in price.tiers
            ],
            "flex_percent": 50,
        }
    )
    half = at_tier(even, "flex")
    assert half is not None
    assert half.version == "v/flex50"
    assert cost_microdollars(half, used) == cost_microdollars(price, used)


def test_without_a_price_of_its_own_a_tier_costs_what_others_do() -> None:
    price = Price(version="v", tiers=[{"input": MILLION, "output": MILLION}])
    assert at_tier(price, "flex") is price
    assert at_tier(None, "flex") is None
    assert at_tier(price.model_copy(update={"flex_percent": 50}), None).version == "v"  # type: ignore[union-attr]


def test_a_version_of_the_catalog_names_the_share_also_where_the_price_stays() -> None:
    def catalog(percent: int | None, before: Catalog | None) -> Catalog:
        model = Model(id="openai/gpt-5", provider="p", upstream_model="gpt-5", flex_percent=percent)
        config = Config(providers={"p": Provider(base_url=BASE, prices="openai")}, models=[model])
        return Catalog(config, price_list(Catalog(config), before))

    first = catalog(None, None)
    second = catalog(50, first)
    found = [one.price("openai/gpt-5", "p", 0) for one in (first, second)]
    assert [one.flex_percent for one in found if one] == [None, 50]
    assert len({one.version for one in found if one}) == 1


@pytest.mark.parametrize(
    ("protocol", "sent"),
    [
        ("openai-chat", {"service_tier": "flex"}),
        ("openai-responses", {"service_tier": "flex"}),
        ("gemini", {"service_tier": "flex"}),
        ("bedrock-converse", {"serviceTier": {"type": "flex"}}),
    ],
)
@pytest.mark.parametrize("asked", [{}, {"service_tier": "flex"}])
def test_each_protocol_has_a_word_for_it(protocol: str, sent: dict[str, object], asked: dict[str, str]) -> None:
    provider = Provider(base_url=BASE, protocol=protocol)
    found = exchange(_call({"messages": [{"role": "user", "content": "hi"}], **asked}, flex=not asked), provider)
    body = json.loads(found.outgoing.content)
    assert {name: body.get(name) for name in sent} == sent
    assert found.outgoing.dropped == ()


@pytest.mark.parametrize(
    ("named", "tier"),
    [
        ({}, "flex"),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "default"}, None),
        ({"service_tier": None}, "flex"),
        ({"response": {"service_tier": "default"}}, None),
    ],
)
def test_the_answer_says_in_which_tier_it_was_made(named: dict[str, object], tier: str | None) -> None:
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [], **named}
    whole = with_tier(exchange(_call({"messages": []}), Provider(base_url=BASE)))
    whole.whole(json.dumps(answer).encode())
    assert whole.tier() == tier
    streamed = with_tier(exchange(_call({"messages": []}), Provider(base_url=BASE)))
    assert streamed.tier() == "flex"
    streamed.stream.event(json.dumps({**answer, "object": "chat.completion.chunk"}))
    assert streamed.tier() == tier


def test_models_of_the_catalog_that_have_it_are_priced() -> None:
    catalog = Catalog(load_config(None))
    for offer in catalog.offers.values():
        if offer.model.flex_percent is not None:
            assert offer.provider.may_have_flex
            price = catalog.price(offer.model.id, offer.provider_id, 0)
            assert price is None or price.flex_percent == offer.model.flex_percent
