"""Answers that are kept for an ``Idempotency-Key``: name and key of one come from what its client sends.

So neither the log nor a service's credentials open an answer once its request is done with: it takes the API key and
the ``Idempotency-Key``, which are nowhere but with the client. HKDF-SHA256 (RFC 5869), HMAC-SHA256, AES-256-GCM.
"""

import hmac
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.sealing.hybrid import SealError

KEY_BYTES = 32
_LOCATOR_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
SEAL_BYTES = _NONCE_BYTES + _TAG_BYTES
"""How much longer sealed bytes are."""


@dataclass(frozen=True, slots=True, repr=False)
class ClientKey:
    """What follows from an API key, whom it asks for, and an ``Idempotency-Key``."""

    locator: str
    """32 hex digits."""
    seal: bytes
    """See `seal`."""
    _fingerprints: bytes
    responses: bytes
    """From it follow the IDs of responses that are made in the background, see `libs.sealing.responses`."""

    @classmethod
    def derive(cls, api_key: str, owner: str, idempotency_key: str) -> "ClientKey":
        """Of one client's key; the same from another API key, or for another owner, is another."""
        length = _LOCATOR_BYTES + 3 * KEY_BYTES
        given = "\0".join((api_key, owner, idempotency_key)).encode()
        derived = HKDF(SHA256(), length, salt=None, info=b"sluice idempotency key").derive(given)
        locator, rest = derived[:_LOCATOR_BYTES], derived[_LOCATOR_BYTES:]
        return cls(locator.hex(), rest[:KEY_BYTES], rest[KEY_BYTES : 2 * KEY_BYTES], rest[2 * KEY_BYTES :])

    def fingerprint(self, *parts: bytes) -> str:
        """Of a body, in parts: 32 hex digits, from which nobody else learns anything."""
        mac = hmac.new(self._fingerprints, digestmod="sha256")
        for part in parts:
            mac.update(b"%d:" % len(part))
            mac.update(part)
        return mac.hexdigest()[:32]


def seal(content: bytes, key: bytes, about: str) -> bytes:
    """Seals a part of an answer; the same again is sealed otherwise.

    Args:
        about: which part of which answer it is: it opens as no other.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, about.encode())


def unseal(sealed: bytes, key: bytes, about: str) -> bytes:
    """Inverse of `seal`.

    Raises:
        SealError: it was sealed with another key or about something else, or was changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about.encode())
    except (InvalidTag, ValueError):
        raise SealError("it does not open") from None
