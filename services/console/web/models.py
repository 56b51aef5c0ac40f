"""Models: the catalog with its prices."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from libs.config.catalog import Offer
from services.console.web.visits import Visiting

routes = APIRouter()


@routes.get("/{space}/models")
async def list_models(visit: Visiting, q: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The page."""
    catalog, now = visit.session.parts.catalog, datetime.now(UTC)
    rows = [
        (offer, _rates(offer, now))
        for model_id in sorted(catalog.offers)
        if q.lower() in model_id.lower()
        for offer in catalog.all_of(model_id)
    ]
    return visit.page("models.html", rows=rows, q=q, auto=sorted(catalog.auto))


def _rates(offer: Offer, now: datetime) -> tuple[int | None, int | None]:
    """Microdollars per million tokens, in and out; None where there is no price."""
    if offer.model.free:
        return 0, 0
    price = offer.price_at(int(now.timestamp() * 1000))
    return (price.tiers[0].input, price.tiers[0].output) if price else (None, None)
