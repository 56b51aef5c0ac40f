"""Models and providers as services look them up, with prices from the file or from genai-prices. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version

from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices

from contracts.usage import TokenUsage
from libs.config.gateway import GatewayConfig, Model, Pricing, Provider

MILLION = 1_000_000
FREE_PRICE_VERSION = "free"
CONFIG_PRICE_VERSION = "config"
GENAI_PRICE_VERSION = f"genai-prices {version('genai-prices')}"


class NoPriceError(Exception):
    """A model that costs money has no price; the message says how to give it one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at its provider."""

    model: Model
    provider_id: str
    provider: Provider


class Catalog:
    """All offers by model ID."""

    def __init__(self, config: GatewayConfig) -> None:
        self.providers: Mapping[str, Provider] = config.providers
        self.offers: Mapping[str, Offer] = {
            model.id: Offer(model, model.provider, config.providers[model.provider]) for model in config.models
        }

    def find(self, model_id: str) -> Offer | None:
        """The offer of a model, if it is served here."""
        return self.offers.get(model_id)


def listed_pricing(offer: Offer, now: datetime) -> Pricing | None:
    """The price to show: of the first tier, where a model has several."""
    if offer.model.free:
        return Pricing(prompt=Decimal(0), completion=Decimal(0))
    if offer.model.pricing:
        return offer.model.pricing
    try:
        price = calc_price(
            Usage(), offer.model.upstream_model, provider_id=offer.provider.prices or "", genai_request_timestamp=now
        ).model_price
    except LookupError:
        return None

    def per_token(value: Decimal | TieredPrices | None) -> Decimal | None:
        base = value.base if isinstance(value, TieredPrices) else value
        return None if base is None else base / MILLION

    prompt, completion = per_token(price.input_mtok), per_token(price.output_mtok)
    return Pricing(
        prompt=prompt or Decimal(0),
        completion=completion or Decimal(0),
        cache_read=per_token(price.cache_read_mtok),
        cache_write=per_token(price.cache_write_mtok),
    )


def cost_microdollars(offer: Offer, tokens: TokenUsage, at: datetime) -> tuple[int, str]:
    """What tokens cost, and the version of the price that was used.

    Cached input is priced by its own rate where there is one, else as input. Rounded half up, once.

    Args:
        at: when the request was accepted; prices that change later leave it alone.

    Raises:
        NoPriceError: neither the file nor genai-prices knows a price.
    """
    if offer.model.free:
        return 0, FREE_PRICE_VERSION
    if offer.model.pricing:
        return _microdollars(_configured(offer.model.pricing, tokens)), CONFIG_PRICE_VERSION
    usage = Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=tokens.cache_read_tokens or None,
        cache_write_tokens=tokens.cache_write_tokens or None,
    )
    try:
        price = calc_price(
            usage, offer.model.upstream_model, provider_id=offer.provider.prices or "", genai_request_timestamp=at
        )
    except LookupError:
        raise NoPriceError(f"model {offer.model.id} has no price: add `pricing` to it in the configuration") from None
    return _microdollars(price.total_price), GENAI_PRICE_VERSION


def _configured(pricing: Pricing, tokens: TokenUsage) -> Decimal:
    read = min(tokens.cache_read_tokens, tokens.input_tokens)
    written = min(tokens.cache_write_tokens, tokens.input_tokens - read)
    fresh = tokens.input_tokens - read - written
    read_price = pricing.prompt if pricing.cache_read is None else pricing.cache_read
    write_price = pricing.prompt if pricing.cache_write is None else pricing.cache_write
    return (
        fresh * pricing.prompt + read * read_price + written * write_price + tokens.output_tokens * pricing.completion
    )


def _microdollars(usd: Decimal) -> int:
    return int((usd * MILLION).to_integral_value(ROUND_HALF_UP))
