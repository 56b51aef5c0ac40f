"""Cached answers: name and key of one come from the request that it answers and a secret that relays have alone.

So the log shows neither what was asked nor what was answered, and whoever guesses a request cannot try the guess
without the secret. HKDF-SHA256 (RFC 5869) and AES-256-GCM.
"""

import zlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.sealing.kept import seal, unseal
from libs.sealing.packing import unpacked


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
        return seal(zlib.compress(content, 1), self.key, self.locator)

    def open(self, sealed: bytes, *, most_bytes: int) -> bytes:
        """The content.

        Raises:
            SealError: it was not sealed with this key, was changed, or is larger than that.
        """
        return unpacked(unseal(sealed, self.key, self.locator), most_bytes)
