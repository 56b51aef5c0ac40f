"""Models that may answer in place of the one that is asked for. Pure.

Source of ``models`` and ``route``: OpenRouter, "Model Routing".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from contracts.prices import Price
from contracts.requests import MOST_STAND_INS, is_free, price_key
from libs.config.catalog import Catalog, Offer
from libs.config.gateway import Model
from services.ingress.core.bodies import Asked
from services.ingress.core.errors import BadRequest


@dataclass(frozen=True, slots=True)
class StandIn:
    """A model, and what it costs."""

    model: Model
    prices: Mapping[str, Price]
    """By provider."""

    @property
    def priced(self) -> dict[str, Price]:
        """As `contracts.requests.RequestAccepted.prices` has them."""
        return {price_key(self.model.id, provider_id): price for provider_id, price in self.prices.items()}


def stand_ins(
    asked: Asked, catalog: Catalog, prices: Callable[[str], dict[str, Price]], configured: Mapping[str, Sequence[str]]
) -> list[StandIn]:
    """The client's own, else those of the configuration, if the client does not forbid them.

    Raises:
        BadRequest: one of the client's is not served here, or not on this surface, or free models are among others.
    """
    named = asked.stand_ins or (configured.get(asked.model, ()) if asked.wanted.allow_fallbacks else ())
    found: dict[str, StandIn] = {}
    for name in named:
        auto = catalog.auto.get(name)
        offer = catalog.find(auto.default.model if auto else name)
        if offer is None:
            raise BadRequest(f"`models`: {name!r} is not served here; GET /models lists those that are.")
        model = offer.model
        if model.id in (asked.model, asked.asked_model) or model.id in found:
            continue
        if is_free(model.id) is not asked.free:
            raise BadRequest("`models`: free models and others do not stand in for each other.")
        if model.surfaces and asked.surface not in model.surfaces:
            if asked.stand_ins:
                raise BadRequest(f"`models`: {name!r} is for {', '.join(model.surfaces)}; GET /models lists others.")
            continue
        found[model.id] = StandIn(model, prices(model.id))
    return list(found.values())[:MOST_STAND_INS]


def first_that_fits(asked: Asked, offers: Sequence[Offer], others: list[StandIn]) -> tuple[Asked, list[StandIn]]:
    """The request for the first model into which it fits, with those behind it; as it is where it fits into none."""
    if not offers or _fits(asked, offers[0].model):
        return asked, [one for one in others if _fits(asked, one.model)]
    for place, one in enumerate(others):
        if _fits(asked, one.model):
            left = [other for other in others[place + 1 :] if _fits(asked, other.model)]
            return replace(asked, model=one.model.id, asked_model=asked.asked_model or asked.model), left
    return asked, []


def _fits(asked: Asked, model: Model) -> bool:
    return model.context_length is None or asked.size.tokens_least <= model.context_length
