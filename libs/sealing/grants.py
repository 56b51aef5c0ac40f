"""Sealed grants: a provider key on its way from the vault to a relay, through a log that others can read.

The vault draws a secret for each epoch, and derives a key of it for each partition of ``gateway.routes``: a route lies
in the partition that follows from its request's ID, and one relay runs the routes of a partition. Each relay is sealed
the keys of its partitions by HPKE, so that its memory opens the grants of the requests that it runs (ADR 36). Each
request's provider key is sealed under its partition's key by AES-256-GCM, which costs microseconds. Associated data
binds request, provider and expiry: a grant replayed for another request does not open.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.decisions import SealedGrant
from libs.sealing.hybrid import KeyPair, SealError, from_base64, seal, to_base64
from libs.sealing.secret import Secret

KEY_BYTES = 32


class RelayKeyPair:
    """A relay's key pair. It lives in memory only and dies with the process."""

    def __init__(self) -> None:
        self._pair = KeyPair.generate()
        self.public = self._pair.public
        """As announced on ``control.relays``."""

    def open_keys(self, sealed_key: str, *, epoch_id: str, relay_id: str, partitions: Sequence[int]) -> "PartitionKeys":
        """The keys of an epoch for these partitions.

        Raises:
            SealError: they were sealed for another relay, epoch or partitions, or changed.
        """
        opened = self._pair.open(sealed_key, _info(epoch_id, relay_id, partitions))
        keys = [opened[start : start + KEY_BYTES] for start in range(0, len(opened), KEY_BYTES)]
        if len(opened) != KEY_BYTES * (len(partitions) + 1):
            raise SealError("these are not the keys of so many partitions")
        return PartitionKeys(keys[0], dict(zip(partitions, keys[1:], strict=True)))


@dataclass(frozen=True, slots=True, repr=False)
class PartitionKeys:
    """What one relay has of an epoch."""

    answers: bytes
    """Of cached answers, which all relays share."""
    grants: Mapping[int, bytes]
    """By partition."""


def _info(epoch_id: str, relay_id: str, partitions: Sequence[int]) -> bytes:
    return f"sluice epoch keys\0{epoch_id}\0{relay_id}\0{','.join(map(str, partitions))}".encode()


@dataclass(frozen=True, slots=True, repr=False)
class Epoch:
    """The vault's secret of one epoch."""

    epoch_id: str
    secret: bytes
    partition_of: Callable[[str], int]
    """Of a request's ID."""
    _derived: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def generate(cls, epoch_id: str, partition_of: Callable[[str], int]) -> "Epoch":
        """A fresh random secret."""
        return cls(epoch_id, secrets.token_bytes(KEY_BYTES), partition_of)

    def key(self, partition: int) -> bytes:
        """Of the grants of a partition."""
        return self._derive(b"sluice grants of partition %d" % partition)

    def seal_keys(self, public_key: str, *, relay_id: str, partitions: Sequence[int]) -> str:
        """Seals the keys of some partitions for one relay.

        Raises:
            SealError: the public key is none.
        """
        keys = [self._derive(b"sluice cached answers"), *(self.key(partition) for partition in partitions)]
        return seal(b"".join(keys), public_key, _info(self.epoch_id, relay_id, partitions))

    def seal(
        self, secret: Secret, *, request_id: str, provider_id: str, expires_at_ms: int, byok: bool = False, key: int = 0
    ) -> SealedGrant:
        """Seals a provider key for one request."""
        nonce, key_of_partition = secrets.token_bytes(12), self.key(self.partition_of(request_id))
        data = _associated_data(request_id, provider_id, expires_at_ms, byok)
        return SealedGrant(
            provider_id=provider_id,
            epoch_id=self.epoch_id,
            nonce=to_base64(nonce),
            ciphertext=to_base64(AESGCM(key_of_partition).encrypt(nonce, secret.reveal().encode(), data)),
            expires_at_ms=expires_at_ms,
            byok=byok,
            key=key,
        )

    def _derive(self, info: bytes) -> bytes:
        found = self._derived.get(info)
        if found is None:
            found = self._derived[info] = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(self.secret)
        return found


def open_grant(grant: SealedGrant, partition_key: bytes, *, request_id: str, now_ms: int) -> Secret:
    """The provider key in a grant.

    Raises:
        SealError: the grant is for another request or provider, was changed, or has expired.
    """
    if now_ms >= grant.expires_at_ms:
        raise SealError("the grant has expired")
    data = _associated_data(request_id, grant.provider_id, grant.expires_at_ms, grant.byok)
    nonce, ciphertext = from_base64(grant.nonce), from_base64(grant.ciphertext)
    try:
        return Secret(AESGCM(partition_key).decrypt(nonce, ciphertext, data).decode())
    except (InvalidTag, ValueError):
        raise SealError("the grant does not open") from None


def _associated_data(request_id: str, provider_id: str, expires_at_ms: int, byok: bool) -> bytes:
    return f"sluice grant\0{request_id}\0{provider_id}\0{expires_at_ms}\0{int(byok)}".encode()
