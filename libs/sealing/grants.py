"""Sealed grants: a provider key on its way from the vault to a relay, through a log that others can read.

The vault draws an epoch key (AES-256) and seals it once for each relay by HPKE (RFC 9180; hybrid KEM ML-KEM-768 +
X25519). Each request's provider key is then sealed under the epoch key by AES-256-GCM, which costs microseconds.
Associated data binds request, provider and expiry: a grant replayed for another request does not open.
"""

import base64
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.decisions import SealedGrant
from libs.sealing.secret import Secret

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_BYTES = 1184


class SealError(Exception):
    """A grant or an epoch key that does not open: tampered with, not meant for this, or out of date."""


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SealError("not base64") from None


class RelayKeyPair:
    """A relay's key pair. It lives in memory only and dies with the process."""

    def __init__(self) -> None:
        kem, curve = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self._private = hpke.MLKEM768X25519PrivateKey(kem, curve)
        self.public = _b64(kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw())
        """Base64, as announced on ``control.relays``."""

    def open_epoch_key(self, sealed_key: str, *, epoch_id: str, relay_id: str) -> bytes:
        """The 32 bytes of an epoch key.

        Raises:
            SealError: it was sealed for another relay or epoch, or changed.
        """
        try:
            return _SUITE.decrypt(_unb64(sealed_key), self._private, info=_epoch_info(epoch_id, relay_id))
        except (InvalidTag, ValueError):
            raise SealError("the epoch key does not open") from None


def _epoch_info(epoch_id: str, relay_id: str) -> bytes:
    return f"sluice epoch key\0{epoch_id}\0{relay_id}".encode()


def seal_epoch_key(epoch_key: bytes, public_key: str, *, epoch_id: str, relay_id: str) -> str:
    """Seals an epoch key for one relay.

    Raises:
        SealError: the public key is none.
    """
    raw = _unb64(public_key)
    try:
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_BYTES]),
            X25519PublicKey.from_public_bytes(raw[_MLKEM_BYTES:]),
        )
    except ValueError:
        raise SealError("not a relay's public key") from None
    return _b64(_SUITE.encrypt(epoch_key, public, info=_epoch_info(epoch_id, relay_id)))


@dataclass(frozen=True, slots=True, repr=False)
class EpochKey:
    """The vault's key of one epoch."""

    epoch_id: str
    key: bytes

    @classmethod
    def generate(cls, epoch_id: str) -> "EpochKey":
        """A fresh random key."""
        return cls(epoch_id, secrets.token_bytes(32))

    def seal(
        self, secret: Secret, *, request_id: str, provider_id: str, expires_at_ms: int, byok: bool = False
    ) -> SealedGrant:
        """Seals a provider key for one request."""
        nonce = secrets.token_bytes(12)
        data = _associated_data(request_id, provider_id, expires_at_ms, byok)
        return SealedGrant(
            provider_id=provider_id,
            epoch_id=self.epoch_id,
            nonce=_b64(nonce),
            ciphertext=_b64(AESGCM(self.key).encrypt(nonce, secret.reveal().encode(), data)),
            expires_at_ms=expires_at_ms,
            byok=byok,
        )


def open_grant(grant: SealedGrant, epoch_key: bytes, *, request_id: str, now_ms: int) -> Secret:
    """The provider key in a grant.

    Raises:
        SealError: the grant is for another request or provider, was changed, or has expired.
    """
    if now_ms >= grant.expires_at_ms:
        raise SealError("the grant has expired")
    data = _associated_data(request_id, grant.provider_id, grant.expires_at_ms, grant.byok)
    try:
        return Secret(AESGCM(epoch_key).decrypt(_unb64(grant.nonce), _unb64(grant.ciphertext), data).decode())
    except (InvalidTag, ValueError):
        raise SealError("the grant does not open") from None


def _associated_data(request_id: str, provider_id: str, expires_at_ms: int, byok: bool) -> bytes:
    return f"sluice grant\0{request_id}\0{provider_id}\0{expires_at_ms}\0{int(byok)}".encode()
