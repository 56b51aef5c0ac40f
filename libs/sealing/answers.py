"""Cached answers: name and key of one come from the request that it answers and a secret that relays have alone.

So the log shows neither what was asked nor what was answered, and whoever guesses a request cannot try the guess
without the secret. HKDF-SHA256 (RFC 5869) and AES-256-GCM.
"""

import secrets
import zlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.sealing.hybrid import SealError

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, repr=False)
class AnswerKey:
    """Of the answer to one request of one owner."""

    locator: str
    """32 hex digits."""
    key: bytes

    @classmethod
    def derive(cls, secret: bytes, owner: str, request: bytes) -> "AnswerKey":
        """
        Args:
            secret: 32 bytes.
            request: in the one form that all same requests have.
        """
        derived = HKDF(SHA256(), 48, salt=secret, info=b"sluice cached answer").derive(owner.encode() + b"\0" + request)
        return cls(derived[:16].hex(), derived[16:])

    def seal(self, content: bytes) -> bytes:
        """Packs and seals; the same answer again is sealed otherwise."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.key).encrypt(nonce, zlib.compress(content, 1), self.locator.encode())

    def open(self, sealed: bytes, *, most_bytes: int) -> bytes:
        """The content.

        Raises:
            SealError: it was not sealed with this key, was changed, or is larger than that.
        """
        try:
            packed = AESGCM(self.key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.locator.encode())
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(packed, most_bytes)
        except (InvalidTag, ValueError, zlib.error):
            raise SealError("it does not open") from None
        if not unpacking.eof:
            raise SealError("it is larger than any cached answer")
        return content
