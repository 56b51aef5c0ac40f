"""Requests at the door, with sensible defaults."""

from collections.abc import Sequence
from typing import Any

from contracts.record import ReplyAddress
from contracts.requests import Caller, RequestAccepted
from libs.config.catalog import Catalog
from libs.config.gateway import AnswerCaching, Timeouts
from libs.config.providers import Model
from services.ingress.core.admission import Arrival, Terms, accept
from services.ingress.core.bodies import Asked
from tests.unit.records import NOW_MS, request_id


def arrival(**changes: Any) -> Arrival:
    """Of an account's request."""
    fields: dict[str, Any] = {
        "request_id": request_id(1),
        "at_ms": NOW_MS,
        "headers": {},
        "caller": Caller(account_id="a"),
        "ip": "10.0.0.1",
        "prompt_bytes": 10,
        "reply_to": ReplyAddress(partition=0, ingress_id="i"),
    }
    return Arrival(**(fields | changes))


def let_in(asked: Asked, catalog: Catalog, others: Sequence[Model] = (), **changes: Any) -> RequestAccepted:
    """The record of a request that arrives."""
    return accept(asked, arrival(**changes), Terms(catalog, Timeouts(), AnswerCaching()), others)
