"""Stripe's events: its published resources (tests/e2e/stripe), with the amounts and IDs of a test."""

from pathlib import Path
from typing import Any

import orjson

PUBLISHED: dict[str, dict[str, Any]] = orjson.loads((Path(__file__).parent / "e2e/stripe/published.json").read_bytes())
_PAYMENT, _CHARGE = "pi_3{run}", "ch_3{run}"
_OF_PAYMENT = {"charge": _CHARGE, "payment_intent": _PAYMENT}
_PAID = {"id": _CHARGE, "amount": 2500, "amount_captured": 2500, "captured": True, "payment_intent": _PAYMENT}
_DISPUTED = {"id": "dp_1{run}", "amount": 2500, **_OF_PAYMENT}
_EVENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "paid": (
        "payment_intent.succeeded",
        "payment_intent",
        {
            "id": _PAYMENT,
            "amount": 2500,
            "amount_received": 2500,
            "status": "succeeded",
            "latest_charge": _CHARGE,
            "metadata": {"sluice_owner": "{owner}"},
        },
    ),
    "charge_succeeded": ("charge.succeeded", "charge", {**_PAID, "metadata": {"sluice_owner": "{owner}"}}),
    "refunded": (
        "charge.refunded",
        "charge",
        {**_PAID, "amount_refunded": 500, "metadata": {"sluice_owner": "{owner}"}},
    ),
    "refunded_more": (
        "charge.refunded",
        "charge",
        {**_PAID, "amount_refunded": 1200, "metadata": {"sluice_owner": "{owner}"}},
    ),
    "refund_failed": ("refund.failed", "refund", {"id": "re_3{run}", "amount": 500, "status": "failed", **_OF_PAYMENT}),
    "withdrawn": ("charge.dispute.funds_withdrawn", "dispute", {**_DISPUTED, "status": "needs_response"}),
    "reinstated": ("charge.dispute.funds_reinstated", "dispute", {**_DISPUTED, "status": "won"}),
}
"""By a name: the event's type, the resource that it is about, and what is changed of that."""
NAMES = tuple(_EVENTS)


def event(name: str, owner: str, run: str, **changes: Any) -> bytes:
    """The body of an event, as Stripe posts it.

    Args:
        owner: whom the payment is for.
        run: in the IDs of the payment and of all that is about it.
        changes: of the resource, beyond those of a payment of 25 dollars.
    """
    kind, resource, values = _EVENTS[name]
    about = PUBLISHED[resource] | _filled(values, owner=owner, run=run) | changes
    whole = PUBLISHED["event"] | {"id": f"evt_{name}{run}", "type": kind, "data": {"object": about}}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2)


def _filled(value: Any, **names: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, **names) for name, one in value.items()}
    return value.format(**names) if isinstance(value, str) else value
