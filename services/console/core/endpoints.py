"""A model at each of its providers, side by side. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from contracts.prices import Price, Rates
from libs.config.catalog import Offer
from libs.pricing.cost import MILLION
from libs.pricing.usd import dollars

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One property, and its value at each endpoint."""

    name: str
    values: list[str]
    number: bool = False

    @property
    def differs(self) -> bool:
        """The endpoints are not the same in it."""
        return len(set(self.values)) > 1


def rows(offers: Iterable[Offer], now_ms: int) -> list[Row]:
    """What is to be known of endpoints; properties that none of them has are left out."""
    found = [(offer, offer.price_at(now_ms)) for offer in offers]
    facts = (Row(name, [shown(offer, price) for offer, price in found], number) for name, shown, number in _FACTS)
    return [row for row in facts if set(row.values) != {_NONE}]


def _rate(of: Callable[[Rates], int | None]) -> Callable[[Offer, Price | None], str]:
    def shown(offer: Offer, price: Price | None) -> str:
        if offer.model.free:
            return "free"
        amount = of(price.tiers[0]) if price else None
        return _NONE if amount is None else dollars(amount)

    return shown


def _tiers(_offer: Offer, price: Price | None) -> str:
    above = [
        f"above {tier.above_input_tokens:,}: {dollars(tier.input)} in, {dollars(tier.output)} out"
        for tier in (price.tiers[1:] if price else ())
    ]
    return "; ".join(above) or _NONE


def _units(_offer: Offer, price: Price | None) -> str:
    named = [
        f"{' '.join(filter(None, (one.unit, one.kind)))} {dollars(Decimal(one.rate) / MILLION)}"
        for one in (price.units if price else ())
    ]
    return ", ".join(named) or _NONE


def _count(number: int | None) -> str:
    return _NONE if number is None else f"{number:,}"


def _names(names: Iterable[object]) -> str:
    return ", ".join(str(getattr(name, "value", name)) for name in names) or _NONE


Shown = Callable[[Offer, Price | None], str]
_FACTS: tuple[tuple[str, Shown, bool], ...] = (
    ("Input, a million tokens", _rate(lambda rates: rates.input), True),
    ("Output", _rate(lambda rates: rates.output), True),
    ("Read from the prompt cache", _rate(lambda rates: rates.cache_read), True),
    ("Written to the prompt cache", _rate(lambda rates: rates.cache_write), True),
    ("Reasoning", _rate(lambda rates: rates.reasoning), True),
    ("Long inputs", _tiers, False),
    ("Other units, each", _units, False),
    ("Context, tokens", lambda offer, _: _count(offer.model.context_length), True),
    ("Longest answer, tokens", lambda offer, _: _count(offer.model.max_completion_tokens), True),
    ("Takes", lambda offer, _: _names(offer.model.input_modalities), False),
    ("Gives", lambda offer, _: _names(offer.model.output_modalities), False),
    ("Surfaces", lambda offer, _: _names(offer.model.surfaces), False),
    ("Protocol", lambda offer, _: offer.provider.protocol, False),
    ("Its name there", lambda offer, _: offer.model.upstream_model, False),
    ("Fields that are left out", lambda offer, _: _names(sorted(set(offer.provider.unsupported))), False),
    ("Keeps prompts", lambda offer, _: "yes" if offer.model.data_collection == "allow" else "no", False),
    ("Filters prompts", lambda offer, _: "yes" if offer.model.moderated else "no", False),
    ("Released", lambda offer, _: offer.model.released.isoformat() if offer.model.released else _NONE, False),
)
