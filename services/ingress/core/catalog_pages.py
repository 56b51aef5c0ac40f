"""``GET /models``, one model's endpoints, and ``GET /providers``: data that anybody may read."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from libs.config.catalog import Catalog, Offer
from libs.pricing.book import NoPriceError, price_of

USD_PER_TOKEN = Decimal(10) ** -12
"""One microdollar per million tokens."""


def models(catalog: Catalog, now: datetime) -> dict[str, Any]:
    """The list of models, as OpenAI gives it, with context length and prices."""
    listed = [_model(offer, now) for offer in catalog.offers.values()]
    return {"object": "list", "data": [*listed, *(_auto(name) for name in catalog.auto)]}


def model(catalog: Catalog, model_id: str, now: datetime) -> dict[str, Any] | None:
    """One model as the list has it; None if it is not served here."""
    if model_id in catalog.auto:
        return _auto(model_id)
    offer = catalog.find(model_id)
    return _model(offer, now) if offer else None


def endpoints(catalog: Catalog, model_id: str, now: datetime) -> dict[str, Any] | None:
    """Where one model runs and for how much; None if it is not served here."""
    offer = catalog.find(model_id)
    if offer is None:
        return None
    endpoints = [
        {
            "name": f"{one.provider.name or one.provider_id} | {one.model.id}",
            "provider_name": one.provider.name or one.provider_id,
            "tag": one.provider_id,
            "context_length": one.model.context_length,
            "pricing": _pricing(one, now),
        }
        for one in catalog.all_of(model_id)
    ]
    return {"data": {"id": offer.model.id, "name": offer.model.name or offer.model.id, "endpoints": endpoints}}


def providers(catalog: Catalog) -> dict[str, Any]:
    """The providers that models come from."""
    used = {offer.provider_id for model_id in catalog.offers for offer in catalog.all_of(model_id)}
    return {
        "data": [
            {"name": provider.name or provider_id, "slug": provider_id}
            for provider_id, provider in catalog.providers.items()
            if provider_id in used
        ]
    }


def _auto(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "kilo-auto", "name": name, "context_length": None}


def _model(offer: Offer, now: datetime) -> dict[str, Any]:
    model = offer.model
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": offer.provider_id,
        "name": model.name or model.id,
        "context_length": model.context_length,
        "pricing": _pricing(offer, now),
    }


def _pricing(offer: Offer, now: datetime) -> dict[str, str] | None:
    if offer.model.free:
        return {"prompt": "0", "completion": "0"}
    try:
        price = price_of(offer, now)
    except NoPriceError:
        return None
    rates = price.tiers[0]
    units = {rate.unit.value: rate.rate for rate in price.units if not rate.kind}
    prices = {
        **units,
        "prompt": rates.input,
        "completion": rates.output,
        "input_cache_read": rates.cache_read,
        "input_cache_write": rates.cache_write,
        "internal_reasoning": rates.reasoning,
    }
    return {name: _decimal(rate * USD_PER_TOKEN) for name, rate in prices.items() if rate is not None}


def _decimal(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
