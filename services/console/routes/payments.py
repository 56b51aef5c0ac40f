"""Where providers of payments report what was paid."""

import time

from fastapi import APIRouter, Request

from services.console.answers import Answer
from services.console.core.authorization import Actor
from services.console.core.stripe import check_signature, event_of
from services.console.errors import NotFound
from services.console.session import connected, origin, parts_of
from services.console.store import payments

routes = APIRouter(prefix="/api/payments", tags=["money"])
STRIPE = "stripe"
"""Who ordered, in the ledger and in the audit trail."""


class Received(Answer):
    """An event was taken in."""

    received: bool = True
    order: str | None = None
    """The entry that it ordered; null: none, or it had come before."""


@routes.post("/stripe")
async def stripe_event(request: Request) -> Received:
    """Stripe's webhook: signed with the endpoint's secret; no other credential counts."""
    parts = parts_of(request)
    if not parts.stripe_secrets:
        raise NotFound("payments by Stripe are not set up here: SLUICE_CONSOLE_STRIPE_WEBHOOK_SECRET")
    body = await request.body()
    check_signature(body, request.headers.get("stripe-signature", ""), parts.stripe_secrets, time.time())
    event = event_of(body)
    if event is None:
        return Received()
    actor = Actor(STRIPE, frozenset(), origin(request, parts))
    async with connected(parts) as connection, connection.transaction():
        ordered = await payments.take_in(connection, actor, event)
    parts.changed()
    return Received(order=ordered.id if ordered else None)
