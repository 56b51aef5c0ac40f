"""Models: the catalog with its prices, a model's endpoints, and models side by side."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.clock import now_ms
from libs.config.catalog import Offer
from services.console.core.endpoints import rows
from services.console.errors import NotFound
from services.console.web.visits import Visiting

routes = APIRouter()
MOST_COMPARED = 4
Model = Annotated[str, Query(max_length=200)]


@routes.get("/{space}/models")
async def list_models(visit: Visiting, q: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The page."""
    catalog, now = visit.session.parts.catalog, now_ms()
    listed = [
        (offer, _rates(offer, now))
        for model_id in sorted(catalog.offers)
        if q.lower() in model_id.lower()
        for offer in catalog.all_of(model_id)
    ]
    return visit.page("models.html", rows=listed, q=q, auto=sorted(catalog.auto), most=MOST_COMPARED)


@routes.get("/{space}/models/compare")
async def compare_models(
    visit: Visiting, model: Annotated[list[Model], Query(min_length=1, max_length=MOST_COMPARED)]
) -> Response:
    """One model at all its providers, or a few side by side."""
    catalog = visit.session.parts.catalog
    chosen = list(dict.fromkeys(model))
    offers = [offer for model_id in chosen for offer in catalog.all_of(model_id)]
    if not all(map(catalog.all_of, chosen)):
        raise NotFound("there is no such model here")
    return visit.page("compare.html", models=chosen, offers=offers, rows=rows(offers, now_ms()))


def _rates(offer: Offer, at_ms: int) -> tuple[int | None, int | None]:
    """Microdollars per million tokens, in and out; None where there is no price."""
    if offer.model.free:
        return 0, 0
    price = offer.price_at(at_ms)
    return (price.tiers[0].input, price.tiers[0].output) if price else (None, None)
