"""Sealed grants: a provider key on its way from the vault to a relay, through a log that others can read.

The vault draws an epoch key (AES-256) and seals it once for each relay by HPKE. Each request's provider key is then
sealed under the epoch key by AES-256-GCM, which costs microseconds. Associated data binds request, provider and
expiry: a grant replayed for another request does not open.
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.decisions import SealedGrant
from libs.sealing.hybrid import KeyPair, SealError, from_base64, seal, to_base64
from libs.sealing.secret import Secret


class RelayKeyPair:
    """A relay's key pair. It lives in memory only and dies with the process."""

    def __init__(self) -> None:
        self._pair = KeyPair.generate()
        self.public = self._pair.public
        """As announced on ``control.relays``."""

    def open_epoch_key(self, sealed_key: str, *, epoch_id: str, relay_id: str) -> bytes:
        """The 32 bytes of an epoch key.

        Raises:
            SealError: it was sealed for another relay or epoch, or changed.
        """
        return self._pair.open(sealed_key, _epoch_info(epoch_id, relay_id))


def _epoch_info(epoch_id: str, relay_id: str) -> bytes:
    return f"sluice epoch key\0{epoch_id}\0{relay_id}".encode()


def seal_epoch_key(epoch_key: bytes, public_key: str, *, epoch_id: str, relay_id: str) -> str:
    """Seals an epoch key for one relay.

    Raises:
        SealError: the public key is none.
    """
    return seal(epoch_key, public_key, _epoch_info(epoch_id, relay_id))


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
        self, secret: Secret, *, request_id: str, provider_id: str, expires_at_ms: int, byok: bool = False, key: int = 0
    ) -> SealedGrant:
        """Seals a provider key for one request."""
        nonce = secrets.token_bytes(12)
        data = _associated_data(request_id, provider_id, expires_at_ms, byok)
        return SealedGrant(
            provider_id=provider_id,
            epoch_id=self.epoch_id,
            nonce=to_base64(nonce),
            ciphertext=to_base64(AESGCM(self.key).encrypt(nonce, secret.reveal().encode(), data)),
            expires_at_ms=expires_at_ms,
            byok=byok,
            key=key,
        )


def open_grant(grant: SealedGrant, epoch_key: bytes, *, request_id: str, now_ms: int) -> Secret:
    """The provider key in a grant.

    Raises:
        SealError: the grant is for another request or provider, was changed, or has expired.
    """
    if now_ms >= grant.expires_at_ms:
        raise SealError("the grant has expired")
    data = _associated_data(request_id, grant.provider_id, grant.expires_at_ms, grant.byok)
    nonce, ciphertext = from_base64(grant.nonce), from_base64(grant.ciphertext)
    try:
        return Secret(AESGCM(epoch_key).decrypt(nonce, ciphertext, data).decode())
    except (InvalidTag, ValueError):
        raise SealError("the grant does not open") from None


def _associated_data(request_id: str, provider_id: str, expires_at_ms: int, byok: bool) -> bytes:
    return f"sluice grant\0{request_id}\0{provider_id}\0{expires_at_ms}\0{int(byok)}".encode()
