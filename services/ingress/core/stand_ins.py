"""Models that may answer in place of the one that is asked for. Pure.

Source of ``models`` and ``route``: OpenRouter, "Model Routing".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from contracts.requests import MOST_STAND_INS, is_free
from libs.config.catalog import Catalog, Offer
from libs.config.providers import Model
from services.ingress.core.bodies import Asked
from services.ingress.core.errors import BadRequest


def stand_ins(asked: Asked, catalog: Catalog, configured: Mapping[str, Sequence[str]]) -> list[Model]:
    """The client's own, else those of the configuration, if the client does not forbid them.

    Raises:
        BadRequest: one of the client's is not served here, or not on this surface, or free models are among others.
    """
    named = asked.stand_ins or (configured.get(asked.model, ()) if asked.wanted.allow_fallbacks else ())
    found: dict[str, Model] = {}
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
        found[model.id] = model
    return list(found.values())[:MOST_STAND_INS]


def first_that_fits(asked: Asked, offers: Sequence[Offer], others: list[Model]) -> tuple[Asked, list[Model]]:
    """The request for the first model into which it fits, with those behind it; as it is where it fits into none."""
    if not offers or _fits(asked, offers[0].model):
        return asked, [one for one in others if _fits(asked, one)]
    for place, one in enumerate(others):
        if _fits(asked, one):
            left = [other for other in others[place + 1 :] if _fits(asked, other)]
            return replace(asked, model=one.id, asked_model=asked.asked_model or asked.model), left
    return asked, []


def _fits(asked: Asked, model: Model) -> bool:
    return asked.size.may_fit(model.context_length)
