"""One model as the list of models has it, and one of its endpoints. Pure.

The form is OpenRouter's (documentation, "Models"), with the fields that the Kilo Code client reads beside it
(Kilo-Org/kilocode, packages/kilo-gateway/src/api/models.ts and endpoints.ts).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict

from contracts.prices import Price, Rates
from contracts.requests import Surface
from libs.config.catalog import Offer
from libs.config.providers import Model
from services.ingress.core.parameters import is_for_chat

ASSUMED_CONTEXT = 128_000
"""Tokens, of a model whose context is not configured. Clients want a number."""
USD_PER_TOKEN = Decimal(10) ** -12
"""One microdollar per million tokens."""
_TAKES: dict[Surface, tuple[str, ...]] = {
    Surface.TRANSCRIPTIONS: ("audio",),
    Surface.IMAGE_EDITS: ("text", "image"),
}
_GIVES: dict[Surface, str] = {
    Surface.IMAGE_GENERATIONS: "image",
    Surface.IMAGE_EDITS: "image",
    Surface.SPEECH: "audio",
    Surface.EMBEDDINGS: "embeddings",
}


class Architecture(TypedDict):
    """What goes into a model, and what comes out."""

    modality: str
    input_modalities: list[str]
    output_modalities: list[str]
    tokenizer: str
    instruct_type: None


class TopProvider(TypedDict):
    """The provider that is asked first."""

    context_length: int
    max_completion_tokens: int | None
    is_moderated: bool


class Entry(TypedDict, total=False):
    """A model in the list."""

    id: str
    canonical_slug: str
    object: str
    created: int
    owned_by: str
    name: str
    description: str
    context_length: int
    max_completion_tokens: int | None
    architecture: Architecture
    supported_parameters: list[str]
    top_provider: TopProvider
    per_request_limits: None
    pricing: dict[str, Any]
    isFree: bool
    mayTrainOnYourPrompts: bool
    preferredIndex: int
    autoRouting: dict[str, list[str]]


def entry(offer: Offer, parameters: list[str], now: datetime) -> Entry:
    """A model at one of its providers, which takes these parameters."""
    model = offer.model
    context = context_of(model)
    found: Entry = {
        "id": model.id,
        "canonical_slug": model.id,
        "object": "model",
        "created": model.created_s,
        "owned_by": offer.provider_id,
        "name": model.name or model.id,
        "description": model.description,
        "context_length": context,
        "max_completion_tokens": model.max_completion_tokens,
        "architecture": architecture(model),
        "supported_parameters": parameters,
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": model.max_completion_tokens,
            "is_moderated": model.moderated,
        },
        "per_request_limits": None,
        "isFree": model.free,
        "mayTrainOnYourPrompts": model.data_collection == "allow",
    }
    if prices := pricing(offer, now):
        found["pricing"] = prices
    if model.preferred_index is not None:
        found["preferredIndex"] = model.preferred_index
    return found


def endpoint(offer: Offer, parameters: list[str], now: datetime) -> dict[str, Any]:
    """A model at one of its providers, on the page of its endpoints."""
    provider_name = offer.provider.name or offer.provider_id
    return {
        "name": f"{provider_name} | {offer.model.id}",
        "provider_name": provider_name,
        "tag": offer.provider_id,
        "context_length": context_of(offer.model),
        "max_completion_tokens": offer.model.max_completion_tokens,
        "quantization": None,
        "supported_parameters": parameters,
        "pricing": pricing(offer, now),
    }


def context_of(model: Model) -> int:
    """Tokens; 0 where the model is not asked for text."""
    return model.context_length or (ASSUMED_CONTEXT if is_for_chat(model) else 0)


def architecture(model: Model) -> Architecture:
    """What the configuration says of the model, else what its surfaces take and give."""
    takes: list[str] = [*model.input_modalities]
    takes = takes or list(dict.fromkeys(one for surface in model.surfaces for one in _TAKES.get(surface, ("text",))))
    gives: list[str] = [*model.output_modalities]
    gives = gives or list(dict.fromkeys(_GIVES.get(surface, "text") for surface in model.surfaces))
    takes, gives = takes or ["text"], gives or ["text"]
    return {
        "modality": f"{'+'.join(takes)}->{'+'.join(gives)}",
        "input_modalities": takes,
        "output_modalities": gives,
        "tokenizer": model.tokenizer,
        "instruct_type": None,
    }


def pricing(offer: Offer, now: datetime) -> dict[str, Any] | None:
    """USD per token, and by the name of any other unit, as decimal strings; None where there is no price."""
    if offer.model.free:
        return _prices(Price(version="free", tiers=[Rates(input=0, output=0)]))
    price = offer.price_at(int(now.timestamp() * 1000))
    return _prices(price) if price else None


def _prices(price: Price) -> dict[str, Any]:
    rates = price.tiers[0]
    units = {f"{one.unit}/{one.kind}".rstrip("/"): _usd(one.rate) for one in price.units}
    found: dict[str, Any] = {
        "prompt": _usd(rates.input),
        "completion": _usd(rates.output),
        "request": "0",
        "image": "0",
        # What has no price of its own costs what other tokens of its side do.
        "input_cache_read": _usd(rates.input if rates.cache_read is None else rates.cache_read),
        "input_cache_write": _usd(rates.input if rates.cache_write is None else rates.cache_write),
    }
    if rates.reasoning is not None:
        found["internal_reasoning"] = _usd(rates.reasoning)
    return found | units


def _usd(rate: int) -> str:
    text = f"{rate * USD_PER_TOKEN:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
