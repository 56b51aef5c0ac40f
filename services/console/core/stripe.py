"""Stripe's webhook: whether an event is Stripe's, and what it does to somebody's credit. Pure.

Sources: Stripe's documentation, "Receive Stripe events in your webhook endpoint" (signatures: scheme v1, HMAC-SHA256 of
time, a dot and the body), and its API reference ("Event", "PaymentIntent", "Charge", "Refund", "Dispute").
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic_core import from_json

from services.console.core.owners import Owner, OwnerKind
from services.console.errors import BadInput

TOLERANCE_S = 300
"""How old, or how early, a signature may be: what Stripe's own libraries take."""
OWNER = "sluice_owner"
"""In the metadata of a payment: the ID of the account or organization that it is for."""
MICRODOLLARS_A_CENT = 10_000
MOST_ID = 255
_KINDS = {"acct_": OwnerKind.ACCOUNTS, "org_": OwnerKind.ORGANIZATIONS}


class What(Enum):
    """Of what an event tells."""

    PAID = "payment_intent.succeeded"
    REFUNDED = "charge.refunded"
    """The sum of all refunds of a payment."""
    REFUND_FAILED = "refund.failed"
    WITHDRAWN = "charge.dispute.funds_withdrawn"
    REINSTATED = "charge.dispute.funds_reinstated"


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """What became of a payment."""

    event_id: str
    what: What
    payment_id: str
    owner: Owner | None
    """Whom the payment names; None: nobody, or this event does not say."""
    amount_microdollars: int


def check_signature(body: bytes, header: str, secrets: Iterable[str], now_s: float) -> None:
    """Raises BadInput where no secret signed this body, or not lately.

    Args:
        header: ``Stripe-Signature``.
        secrets: of the endpoint; two while one is replaced.
    """
    fields = [one.strip().partition("=") for one in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    signatures = [value for name, _, value in fields if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) < 16) or not signatures:
        raise BadInput("`Stripe-Signature` has a time and a signature of the scheme v1")
    wanted = [hmac.new(one.encode(), times[0].encode() + b"." + body, "sha256").hexdigest() for one in secrets]
    given = [one.encode("utf-8", "replace") for one in signatures]
    if not any(hmac.compare_digest(one.encode(), other) for one in wanted for other in given):
        raise BadInput("the signature is not one of this endpoint's secret")
    if abs(now_s - int(times[0])) > TOLERANCE_S:
        raise BadInput(f"the signature is older than {TOLERANCE_S} s, or a clock is wrong")


def event_of(body: bytes) -> PaymentEvent | None:
    """What an event says of a payment; None: nothing that concerns credit.

    Raises:
        BadInput: it is no event, or of another currency than US dollars.
    """
    try:
        event = from_json(body)
        kind, event_id, about = event["type"], event["id"], event["data"]["object"]
    except (ValueError, KeyError, TypeError):
        raise BadInput("the body is no event of Stripe's") from None
    what = next((one for one in What if one.value == kind), None)
    if what is None or not isinstance(about, dict):
        return None
    payment_id = about.get("id") if what is What.PAID else about.get("payment_intent")
    owner = _owner(about.get("metadata")) if what in (What.PAID, What.REFUNDED) else None
    if not payment_id or (what is What.PAID and owner is None):
        # The operator's account at Stripe may sell other things, too.
        return None
    amount = about.get({What.PAID: "amount_received", What.REFUNDED: "amount_refunded"}.get(what, "amount"))
    if type(amount) is not int or amount < 0 or not _is_id(payment_id) or not _is_id(event_id):
        raise BadInput("the event is not of the form that Stripe documents")
    if about.get("currency") != "usd":
        raise BadInput("credit is in US dollars, and this payment is not; take payments in usd")
    return PaymentEvent(event_id, what, payment_id, owner, amount * MICRODOLLARS_A_CENT)


def _is_id(given: Any) -> bool:
    return isinstance(given, str) and 0 < len(given) <= MOST_ID


def _owner(metadata: Any) -> Owner | None:
    name = metadata.get(OWNER) if isinstance(metadata, Mapping) else None
    if not isinstance(name, str):
        return None
    return next((Owner(kind, name) for prefix, kind in _KINDS.items() if name.startswith(prefix)), None)
