"""What ``./sluice tail`` shows of a record: the fields that are listed here, and no others.

A record or a field that is new is not shown before somebody has listed it. Bodies, prompts, sealed keys, headers and
texts that a client or provider wrote are not on the list.
"""

from typing import Any

from contracts.alerts import AlertChanged
from contracts.attempts import AttemptStarted
from contracts.charges import ChargePosted
from contracts.control import KeyRevoked, MembershipChanged
from contracts.credit import (
    BalanceChanged,
    BalanceLow,
    CreditOrdered,
    CreditPosted,
    MemberSpent,
    ReservationExceeded,
    TopUpDue,
)
from contracts.decisions import CredentialGranted, PolicyDecided, QuotaReserved
from contracts.outcomes import OutcomesCounted
from contracts.record import Record
from contracts.replies import PromptWanted, ReplyEnded, ReplyStarted
from contracts.requests import ReplyRead, RequestAccepted, RequestCancelled
from contracts.responses import ResponseDeleted, ResponseStored
from contracts.routes import RequestRejected, RoutePlanned
from contracts.sinks import SinkBackfillOrdered, SinkReported
from contracts.usage import UsageRecorded

_REQUEST = ("subject", "surface", "model")
SHOWN: dict[type[Record], tuple[str, ...]] = {
    RequestAccepted: (*_REQUEST, "stream", "prompt_bytes", "output_tokens_most"),
    PolicyDecided: ("subject", "refusal.status", "policy_version"),
    QuotaReserved: ("subject", "refusal.status", "held.microdollars", "byok"),
    CredentialGranted: ("subject", "refusal.status"),
    RoutePlanned: (*_REQUEST, "reserved_microdollars"),
    RequestRejected: (*_REQUEST, "refusal.status", "failed"),
    RequestCancelled: (),
    ReplyRead: ("size",),
    AttemptStarted: ("provider_id", "relay_id", "call"),
    ReplyStarted: ("provider_id", "upstream_ms"),
    ReplyEnded: ("status", "outcome", "size"),
    PromptWanted: (),
    UsageRecorded: (
        *_REQUEST,
        "provider_id",
        "outcome",
        "status",
        "tokens.input_tokens",
        "tokens.output_tokens",
        "estimated",
        "byok",
        "attempts",
        "first_byte_ms",
    ),
    ChargePosted: ("subject", "model", "provider_id", "outcome", "cost_microdollars", "price_version"),
    CreditOrdered: ("owner", "kind", "amount_microdollars"),
    CreditPosted: ("owner", "kind", "amount_microdollars", "balance_microdollars"),
    BalanceLow: ("owner", "balance_microdollars", "below_microdollars"),
    TopUpDue: ("owner", "balance_microdollars", "top_up_microdollars"),
    ReservationExceeded: ("owner", "model", "reserved_microdollars", "cost_microdollars"),
    BalanceChanged: ("owner", "balance_microdollars", "version"),
    MemberSpent: ("owner", "account_id", "day", "spent_microdollars"),
    OutcomesCounted: ("provider_id", "answered", "failed", "limited"),
    MembershipChanged: ("organization_id", "account_id", "role"),
    KeyRevoked: ("revoked_at_ms",),
    ResponseStored: (),
    ResponseDeleted: (),
    AlertChanged: ("kind", "about", "raised", "number"),
    SinkReported: ("sink", "condition", "lag", "delivered", "dead_letters"),
    SinkBackfillOrdered: ("sink", "from_ms"),
}


def shown(record: Record) -> dict[str, Any]:
    """The listed fields that have a value; a dot leads into a part of the record."""
    values = {path: _value(record, path) for path in SHOWN.get(type(record), ())}
    return {path: value for path, value in values.items() if value is not None}


def is_of(record: Record, owner: str) -> bool:
    """The record is about this account or organization (``acct_...``, with or without ``acct:`` or ``org:``)."""
    named = (getattr(record, name, None) for name in ("subject", "owner", "account_id", "organization_id"))
    caller = getattr(record, "caller", None)
    parts = [*named, *((caller.account_id, caller.organization_id) if caller else ())]
    bare = owner.removeprefix("acct:").removeprefix("org:")
    return any(str(part).removeprefix("acct:").removeprefix("org:") == bare for part in parts if part)


def _value(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = getattr(record, name, None)
    return record
