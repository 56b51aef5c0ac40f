"""Payments: what a provider of payments reports becomes orders of credit, each once."""

from datetime import timedelta

from contracts.credit import CreditKind
from libs.database.pool import Connection
from services.console.core.authorization import Actor
from services.console.core.owners import Owner, OwnerKind
from services.console.core.stripe import PaymentEvent, What
from services.console.store import accounts, credit, organizations
from services.console.store.credit import Order, Ordered

KEPT = timedelta(days=90)
"""Of IDs of events: Stripe sends one again for three days, and by hand for thirty."""


async def take_in(connection: Connection, actor: Actor, event: PaymentEvent) -> Ordered | None:
    """Orders what an event does to its owner's credit, in the caller's transaction; None: nothing, or not again.

    Events come more than once, and in any order: the payment's row is locked, and has what was ordered of it.

    Raises:
        NotFound: the owner is none of ours.
    """
    await connection.execute("delete from control.payment_events where taken_at < now() - $1::interval", KEPT)
    new = await connection.fetchval(
        "insert into control.payment_events (event_id) values ($1) on conflict do nothing returning true",
        event.event_id,
    )
    if not new:
        return None
    if event.owner is not None:
        await _check(connection, event.owner)
        await connection.execute(
            "insert into control.payments (payment_id, owner) values ($1, $2) on conflict do nothing",
            event.payment_id,
            event.owner.name,
        )
    payment = await connection.fetchrow(
        "select owner, refunded_microdollars from control.payments where payment_id = $1 for update", event.payment_id
    )
    if payment is None:
        return None
    kind, amount = _order(event, payment["refunded_microdollars"])
    if amount == 0:
        return None
    if event.what in (What.REFUNDED, What.REFUND_FAILED):
        await connection.execute(
            "update control.payments set refunded_microdollars = refunded_microdollars - $2 where payment_id = $1",
            event.payment_id,
            amount,
        )
    # A payment is credited once, whichever of its events says so.
    key = event.payment_id if event.what is What.PAID else event.event_id
    wanted = Order(kind, amount, f"{event.what.value} {event.payment_id}")
    return await credit.order(connection, actor, payment["owner"], wanted, f"stripe {key}", overdraws=True)


def _order(event: PaymentEvent, refunded: int) -> tuple[CreditKind, int]:
    amount = event.amount_microdollars
    match event.what:
        case What.PAID:
            return CreditKind.TOP_UP, amount
        case What.REFUNDED:
            # An older sum that comes late says nothing new.
            return CreditKind.REFUND, -max(0, amount - refunded)
        case What.REFUND_FAILED:
            return CreditKind.ADJUSTMENT, min(amount, refunded)
        case What.WITHDRAWN:
            return CreditKind.ADJUSTMENT, -amount
        case What.REINSTATED:
            return CreditKind.ADJUSTMENT, amount


async def _check(connection: Connection, owner: Owner) -> None:
    if owner.kind is OwnerKind.ACCOUNTS:
        await accounts.token_epoch(connection, owner.id)
    else:
        await organizations.lock(connection, owner.id)
