"""Signed requests, as Standard Webhooks 1.0 has them, and what their answers mean."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, auto

from libs.outbound.signatures import signed_headers
from services.sinks.core.events import Event

_ABOUT_THE_EVENT = frozenset({400, 413, 415, 422})


class Verdict(Enum):
    """What an answer means."""

    TAKEN = auto()
    REFUSED = auto()
    LATER = auto()


def body_of(event: Event) -> bytes:
    """The payload: ``type``, ``timestamp`` and ``data``, the same bytes each time."""
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = {"type": event.type, "timestamp": at, "data": event.data}
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def headers_of(event: Event, body: bytes, keys: Sequence[bytes], now_s: int) -> dict[str, str]:
    """ID, time of this attempt, and a signature with each key over ``id.timestamp.body``."""
    return signed_headers(event.id, body, keys, now_s)


def verdict_of(status: int) -> Verdict:
    """Any 2xx is taken. What speaks of this payload is refused; all else may be otherwise later, a redirect, a wrong
    password and 410 included: they are the operator's to put right, and nothing is lost meanwhile."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    return Verdict.REFUSED if status in _ABOUT_THE_EVENT else Verdict.LATER
