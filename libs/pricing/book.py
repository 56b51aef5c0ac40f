"""The price book: the configuration's own prices, else those of genai-prices."""

import contextlib
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version

import orjson
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
    _providers_from_raw,
)

from contracts.catalog import PriceList
from contracts.prices import DAY_S, Price, PriceRule, Rates, UnitRate
from contracts.quantities import Unit
from libs.config.catalog import Catalog, Offer
from libs.config.providers import Pricing
from libs.pricing.cost import MILLION

CONFIGURED = "config"
GENAI = f"genai-prices {version('genai-prices')}"
_RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "input_image": "input_image_mtok",
    "input_audio": "input_audio_mtok",
    "reasoning": "output_reasoning_mtok",
    "output_image": "output_image_mtok",
    "output_audio": "output_audio_mtok",
}


class NoPriceError(Exception):
    """A paid model has no price. The message explains how to configure one."""


def price_list(catalog: Catalog, before: Catalog | None = None) -> PriceList:
    """The prices of all models that cost money; those without one are left out.

    Args:
        before: the version that this one follows. What it took from genai-prices stays until ``prices update``: a
            change of something else changes no price.
    """
    prices: PriceList = {}
    for model_id in catalog.offers:
        for offer in catalog.all_of(model_id):
            if not offer.model.free:
                with contextlib.suppress(NoPriceError):
                    found = _kept(offer, before) or rules_of(offer)
                    prices.setdefault(model_id, {})[offer.provider_id] = found
    return prices


def _with_flex(rule: PriceRule, offer: Offer) -> PriceRule:
    price = rule.price.model_copy(update={"flex_percent": offer.model.flex_percent})
    return rule.model_copy(update={"price": price})


def use_prices_of(data: bytes) -> None:
    """From now on this process looks prices up in other data of genai-prices (its ``data.json``).

    Raises:
        ValueError: it is none.
    """
    try:
        providers = _providers_from_raw(orjson.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"this is no data of genai-prices ({type(error).__name__})") from None
    set_custom_snapshot(DataSnapshot(providers=providers, from_auto_update=False))


def is_from_genai(offer: Offer) -> bool:
    """Its price is that of genai-prices."""
    return not offer.model.free and offer.model.pricing is None


def _kept(offer: Offer, before: Catalog | None) -> list[PriceRule]:
    known = before.offer(offer.model.id, offer.provider_id) if before else None
    if known is None or not is_from_genai(offer) or not is_from_genai(known):
        return []
    same = known.model.upstream_model == offer.model.upstream_model and known.provider.prices == offer.provider.prices
    return [_with_flex(rule, offer) for rule in known.prices] if same else []


def check_prices(catalog: Catalog) -> None:
    """Raises NoPriceError for the first model that costs money and has no price."""
    for model_id in catalog.offers:
        for offer in catalog.all_of(model_id):
            if not offer.model.free:
                rules_of(offer)


def rules_of(offer: Offer) -> list[PriceRule]:
    """An offer's prices, and when each of them holds.

    Raises:
        NoPriceError: neither the file nor genai-prices knows one.
    """
    return [_with_flex(rule, offer) for rule in _ordinary(offer)]


def _ordinary(offer: Offer) -> list[PriceRule]:
    if offer.model.pricing:
        price = _price(CONFIGURED, [_configured(offer.model.pricing)], _units(offer.model.pricing))
        return [PriceRule(price=price)]
    try:
        found = calc_price(Usage(), offer.model.upstream_model, provider_id=offer.provider.prices or "").model.prices
    except LookupError:
        raise NoPriceError(
            f"model {offer.model.id} has no price: add `pricing` to it in the configuration (USD per token; 0 if it "
            'costs nothing, for example pricing: {prompt: "0", completion: "0"})'
        ) from None
    if isinstance(found, ModelPrice):
        return [PriceRule(price=_price(GENAI, _tiers(found)))]
    return [_rule(one) for one in found]


def _rule(one: ConditionalPrice) -> PriceRule:
    price = _price(GENAI, _tiers(one.prices))
    if isinstance(one.constraint, StartDateConstraint):
        begins = datetime.combine(one.constraint.start_date, time(), UTC)
        return PriceRule(price=price, from_ms=int(begins.timestamp() * 1000))
    if isinstance(one.constraint, TimeOfDateConstraint):
        begins_s, ends_s = _second(one.constraint.start_time), _second(one.constraint.end_time)
        return PriceRule(price=price, daily_from_s=begins_s, daily_until_s=ends_s)
    return PriceRule(price=price)


def _second(moment: time) -> int:
    """After midnight UTC; a time without a zone is UTC."""
    offset = moment.utcoffset()
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    return (second - (int(offset.total_seconds()) if offset else 0)) % DAY_S


def _price(source: str, tiers: list[Rates], units: Sequence[UnitRate] = ()) -> Price:
    content = "|".join(rates.model_dump_json() for rates in (*tiers, *units))
    version = f"{source}:{hashlib.sha256(content.encode()).hexdigest()[:10]}"
    return Price(version=version, tiers=tiers, units=list(units))


def _units(pricing: Pricing) -> list[UnitRate]:
    parts = {name: name.partition("/") for name in sorted(pricing.units)}
    return [
        UnitRate(unit=Unit(unit), kind=kind, rate=_whole(pricing.units[name] * MILLION))
        for name, (unit, _, kind) in parts.items()
    ]


def _configured(pricing: Pricing) -> Rates:
    def rate(usd_per_token: Decimal | None) -> int | None:
        return None if usd_per_token is None else _whole(usd_per_token * MILLION)

    return Rates.model_validate(
        {
            "input": rate(pricing.prompt) or 0,
            "output": rate(pricing.completion) or 0,
            "cache_read": rate(pricing.cache_read),
            "cache_write": rate(pricing.cache_write),
            "reasoning": rate(pricing.reasoning),
            "input_image": rate(pricing.input_image),
            "output_image": rate(pricing.output_image),
            "input_audio": rate(pricing.input_audio),
            "output_audio": rate(pricing.output_audio),
        }
    )


def _tiers(price: ModelPrice) -> list[Rates]:
    values = {name: getattr(price, key) for name, key in _RATES.items()}
    starts = {tier.start for value in values.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    return [_rates(values, start) for start in sorted({0, *starts})]


def _rates(values: dict[str, Decimal | TieredPrices | None], start: int) -> Rates:
    def at_start(value: Decimal | TieredPrices | None) -> int | None:
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if tier.start <= start]
            value = reached[-1] if reached else value.base
        return None if value is None else _whole(value)

    rates: dict[str, int | None] = {name: at_start(value) for name, value in values.items()}
    rates |= {name: rates[name] or 0 for name in ("input", "output")}
    return Rates.model_validate(rates | {"above_input_tokens": start})


def _whole(usd_per_million: Decimal) -> int:
    return int((usd_per_million * MILLION).to_integral_value(ROUND_HALF_UP))
