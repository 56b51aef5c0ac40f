"""Envelope encryption at rest: a data key for each secret, wrapped by a versioned key-encryption key.

AES-256-GCM throughout. The caller's associated data names the secret and its owner, so that a blob copied to
another row does not open.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class EnvelopeError(Exception):
    """A blob that does not open: wrong key version, wrong owner, or changed bytes."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is stored."""

    kek_version: str
    wrapped_key: bytes
    ciphertext: bytes


class KeyEncryption(Protocol):
    """Wraps data keys: keys in memory, or a key management service."""

    @property
    def current(self) -> str:
        """The version that wraps."""

    def wrap(self, data_key: bytes, associated_data: bytes) -> bytes:
        """Encrypts a data key under the current version."""

    def unwrap(self, version: str, wrapped_key: bytes, associated_data: bytes) -> bytes:
        """Decrypts a data key. Raises EnvelopeError where it does not open."""


class LocalKeys:
    """Key-encryption keys in memory, by version; the first given is the one that wraps."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Raises ValueError where there is no key, or one is not 32 bytes."""
        if not keys or any(len(key) != 32 for key in keys.values()):
            raise ValueError("key-encryption keys are 32 bytes each, and there is at least one")
        self._keys = {version: AESGCM(key) for version, key in keys.items()}
        self._current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "LocalKeys":
        """Reads ``version:base64[,version:base64...]``.

        Raises:
            ValueError: the text is not of that form.
        """
        pairs = [part.strip().partition(":") for part in text.split(",") if part.strip()]
        return cls({version: base64.b64decode(encoded, validate=True) for version, _, encoded in pairs})

    @property
    def current(self) -> str:
        """The version that wraps."""
        return self._current

    def wrap(self, data_key: bytes, associated_data: bytes) -> bytes:
        """Encrypts a data key under the current version."""
        return _encrypt(self._keys[self._current], data_key, associated_data)

    def unwrap(self, version: str, wrapped_key: bytes, associated_data: bytes) -> bytes:
        """Decrypts a data key. Raises EnvelopeError where it does not open."""
        wrapping = self._keys.get(version)
        if wrapping is None:
            raise EnvelopeError("no key-encryption key of that version")
        return _decrypt(wrapping, wrapped_key, associated_data)


class KeyRing:
    """Seals and opens secrets at rest; a `KeyEncryption` wraps their data keys."""

    def __init__(self, encryption: KeyEncryption) -> None:
        self._encryption = encryption

    @property
    def current(self) -> str:
        """The version that wraps."""
        return self._encryption.current

    def rewrap(self, envelope: Envelope, associated_data: bytes) -> Envelope:
        """The same secret, its data key wrapped by the current key-encryption key.

        Raises:
            EnvelopeError: it does not open.
        """
        data_key = self._unwrap(envelope, associated_data)
        return Envelope(self.current, self._encryption.wrap(data_key, associated_data), envelope.ciphertext)

    def seal(self, plaintext: bytes, associated_data: bytes) -> Envelope:
        """Encrypts under a new data key."""
        data_key = secrets.token_bytes(32)
        return Envelope(
            self.current,
            self._encryption.wrap(data_key, associated_data),
            _encrypt(AESGCM(data_key), plaintext, associated_data),
        )

    def open(self, envelope: Envelope, associated_data: bytes) -> bytes:
        """Decrypts.

        Raises:
            EnvelopeError: it does not open.
        """
        data_key = self._unwrap(envelope, associated_data)
        return _decrypt(AESGCM(data_key), envelope.ciphertext, associated_data)

    def _unwrap(self, envelope: Envelope, associated_data: bytes) -> bytes:
        return self._encryption.unwrap(envelope.kek_version, envelope.wrapped_key, associated_data)


def _encrypt(cipher: AESGCM, plaintext: bytes, associated_data: bytes) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + cipher.encrypt(nonce, plaintext, associated_data)


def _decrypt(cipher: AESGCM, blob: bytes, associated_data: bytes) -> bytes:
    if len(blob) < 28:
        raise EnvelopeError("the blob is cut short")
    try:
        return cipher.decrypt(blob[:12], blob[12:], associated_data)
    except (InvalidTag, ValueError):
        raise EnvelopeError("the blob does not open") from None
