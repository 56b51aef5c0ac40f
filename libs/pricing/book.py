"""The price book: the configuration's own prices, else those of genai-prices."""

import contextlib
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version

from genai_prices import Usage, calc_price
from genai_prices.types import ModelPrice, TieredPrices

from contracts.prices import Price, Rates, UnitRate
from contracts.quantities import Unit
from libs.config.catalog import Catalog, Offer
from libs.config.gateway import Pricing
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
_MINUTE_MS = 60_000


class NoPriceError(Exception):
    """A paid model has no price. The message explains how to configure one."""


class PriceBook:
    """Prices by model ID, as they are at a time: some providers' depend on the hour."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, tuple[int, dict[str, Price]]] = {}

    def find(self, model_id: str, now_ms: int) -> dict[str, Price]:
        """The prices of a model by provider; none of free models, and of those that are not served here."""
        minute = now_ms // _MINUTE_MS
        known = self._known.get(model_id)
        if known and known[0] == minute:
            return known[1]
        prices: dict[str, Price] = {}
        for offer in self._catalog.all_of(model_id):
            if not offer.model.free:
                with contextlib.suppress(NoPriceError):
                    prices[offer.provider_id] = price_of(offer, datetime.fromtimestamp(now_ms / 1000, UTC))
        if prices:
            self._known[model_id] = (minute, prices)
        return prices

    def check(self, now: datetime) -> None:
        """Raises NoPriceError for the first model that costs money and has no price."""
        for model_id in self._catalog.offers:
            for offer in self._catalog.all_of(model_id):
                if not offer.model.free:
                    price_of(offer, now)


def price_of(offer: Offer, at: datetime) -> Price:
    """An offer's price at a time.

    Raises:
        NoPriceError: neither the file nor genai-prices knows one.
    """
    if offer.model.pricing:
        return _price(CONFIGURED, [_configured(offer.model.pricing)], _units(offer.model.pricing))
    try:
        found = calc_price(
            Usage(), offer.model.upstream_model, provider_id=offer.provider.prices or "", genai_request_timestamp=at
        ).model_price
    except LookupError:
        raise NoPriceError(
            f"model {offer.model.id} has no price: add `pricing` to it in the configuration (USD per token; 0 if it "
            'costs nothing, for example pricing: {prompt: "0", completion: "0"})'
        ) from None
    return _price(GENAI, _tiers(found))


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
