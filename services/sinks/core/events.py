"""A record as sinks are given it."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from contracts.alerts import AlertChanged
from contracts.charges import ChargePosted
from contracts.contents import ContentRecorded
from contracts.credit import BalanceLow, CreditPosted, ReservationExceeded, TopUpDue
from contracts.record import Record
from contracts.usage import UsageRecorded

TYPES: dict[type[Record], str] = {
    UsageRecorded: "usage.recorded",
    ChargePosted: "charge.posted",
    CreditPosted: "credit.posted",
    BalanceLow: "balance.low",
    TopUpDue: "top_up.due",
    ReservationExceeded: "reservation.exceeded",
    AlertChanged: "alert.changed",
    ContentRecorded: "content.recorded",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One record."""

    id: str
    """The same whenever the record is delivered, and of no other: receivers dedupe by it."""
    type: str
    """Such as ``charge.posted``."""
    at_ms: int
    """When it came onto the log (epoch)."""
    subject: str
    """What it is about: of charges and usage the request's ID."""
    data: dict[str, Any]
    """The record, as its JSON Schema has it."""


def event_of(record: Record, timestamp_ms: int) -> Event:
    """The event of a record.

    Raises:
        KeyError: sinks are not given such records.
    """
    name = TYPES[type(record)]
    digest = blake2b(f"{name}/{record.event_id}".encode(), digest_size=16).hexdigest()
    return Event(f"evt_{digest}", name, timestamp_ms, record.event_subject, record.model_dump(mode="json"))
