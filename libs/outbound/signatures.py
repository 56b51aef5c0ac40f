"""Signed requests, as Standard Webhooks 1.0 has them. Pure."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""Of a secret, by the specification."""


def new_secret() -> str:
    """A secret of 32 bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


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


def signed_headers(id: str, body: bytes, keys: Sequence[bytes], now_s: int) -> dict[str, str]:
    """ID, time of this attempt, and a signature with each key over ``id.timestamp.body``."""
    signed = f"{id}.{now_s}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
        "content-type": "application/json",
    }
