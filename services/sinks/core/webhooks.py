"""Signed requests, as Standard Webhooks 1.0 has them, and what their answers mean."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, auto

from services.sinks.core.events import Event

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""Of a secret, by the specification."""
_ABOUT_THE_EVENT = frozenset({400, 413, 415, 422})


class Verdict(Enum):
    """What an answer means."""

    TAKEN = auto()
    REFUSED = auto()
    LATER = auto()


def secrets_of(text: str) -> list[bytes]:
    """The keys of one or more secrets with blanks between them: signatures are made with each, while one is replaced.

    Raises:
        ValueError: one is not ``whsec_`` and base64 of 24 to 64 bytes. The message quotes nothing of it.
    """
    found = []
    for one in text.split():
        try:
            key = base64.b64decode(one.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not one.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
            raise ValueError("a webhook's secret is whsec_ and base64 of 24 to 64 bytes")
        found.append(key)
    if not found:
        raise ValueError("a webhook needs a secret")
    return found


def body_of(event: Event) -> bytes:
    """The payload: ``type``, ``timestamp`` and ``data``, the same bytes each time."""
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = {"type": event.type, "timestamp": at, "data": event.data}
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def headers_of(event: Event, body: bytes, keys: Sequence[bytes], now_s: int) -> dict[str, str]:
    """ID, time of this attempt, and a signature with each key over ``id.timestamp.body``."""
    signed = f"{event.id}.{now_s}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": event.id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
        "content-type": "application/json",
    }


def verdict_of(status: int) -> Verdict:
    """Any 2xx is taken. What speaks of this payload is refused; all else may be otherwise later, a redirect, a wrong
    password and 410 included: they are the operator's to put right, and nothing is lost meanwhile."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    return Verdict.REFUSED if status in _ABOUT_THE_EVENT else Verdict.LATER
