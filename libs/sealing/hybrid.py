"""HPKE (RFC 9180) with a hybrid KEM: ML-KEM-768 and X25519, HKDF-SHA256, AES-256-GCM."""

import base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64


class SealError(Exception):
    """What was sealed does not open: tampered with, not meant for this, or out of date."""


class KeyPair:
    """A key pair to which others seal."""

    def __init__(self, kem: MLKEM768PrivateKey, curve: X25519PrivateKey) -> None:
        self._kem, self._curve = kem, curve
        self._private = hpke.MLKEM768X25519PrivateKey(kem, curve)
        self.public = to_base64(kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw())
        """Base64: ML-KEM-768 (1184 bytes), then X25519 (32 bytes)."""

    @classmethod
    def generate(cls) -> "KeyPair":
        """A new pair."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, private: bytes) -> "KeyPair":
        """The pair whose `private_bytes` these are."""
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED_BYTES:]),
        )

    def private_bytes(self) -> bytes:
        """The private half: the ML-KEM seed (64 bytes), then X25519 (32 bytes). Encrypt it before it goes anywhere."""
        return self._kem.private_bytes_raw() + self._curve.private_bytes_raw()

    def open(self, sealed: str, info: bytes) -> bytes:
        """What was sealed to this pair with the same ``info``.

        Raises:
            SealError: it was not, or was changed.
        """
        try:
            return _SUITE.decrypt(from_base64(sealed), self._private, info=info)
        except (InvalidTag, ValueError):
            raise SealError("it does not open") from None


def seal(plaintext: bytes, public_key: str, info: bytes) -> str:
    """Seals to a public key; ``info`` names its purpose and recipient.

    Raises:
        SealError: the public key is none.
    """
    raw = from_base64(public_key)
    try:
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC_BYTES:]),
        )
    except ValueError:
        raise SealError("not a public key") from None
    return to_base64(_SUITE.encrypt(plaintext, public, info=info))


def to_base64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Inverse of `to_base64`. Raises SealError."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SealError("not base64") from None
