"""Stored responses: the ID of one is the key to it, and is nowhere but with its client.

So neither the log nor a service's credentials open what is stored. AES-256-GCM under a key derived from the ID
(HKDF-SHA256, RFC 5869); an ID has 256 random bits, and seals once.
"""

import base64
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.sealing.hybrid import SealError
from libs.sealing.named import Kind
from libs.sealing.packing import unpacked

PREFIX = "resp_sluice_"
RESPONSE = Kind(PREFIX)
_NONCE = b"\0" * 12
"""A key seals one text only."""


def new_response_id() -> str:
    """An ID for a response that will be stored."""
    return RESPONSE.new_id()


def response_id_of(secret: bytes, request_id: str) -> str:
    """The ID of a response that its client can ask for again without it: the same for the same key and request."""
    derived = HKDF(SHA256(), 32, salt=None, info=b"sluice response id" + request_id.encode()).derive(secret)
    return PREFIX + base64.urlsafe_b64encode(derived).rstrip(b"=").decode()


def answer_key_of(response_id: str) -> bytes:
    """With which the stream of a response is sealed that is kept for an ``Idempotency-Key``."""
    return _derived(response_id, b"sluice response stream", 32)


def is_ours(response_id: object) -> bool:
    """The ID was made here; others are a provider's."""
    return RESPONSE.is_id(response_id)


def locator_of(response_id: str) -> str:
    """The name under which it is stored: 32 hex digits."""
    return _derived(response_id, b"sluice response locator", 16).hex()


def seal_response(content: bytes, response_id: str, *, owner: str) -> bytes:
    """Packs and seals."""
    key = AESGCM(_derived(response_id, b"sluice response key", 32))
    return key.encrypt(_NONCE, zlib.compress(content), owner.encode())


def open_response(sealed: bytes, response_id: str, *, owner: str) -> bytes:
    """The content.

    Raises:
        SealError: it was not sealed under this ID for this owner, or was changed.
    """
    key = AESGCM(_derived(response_id, b"sluice response key", 32))
    try:
        packed = key.decrypt(_NONCE, sealed, owner.encode())
    except InvalidTag:
        raise SealError("it does not open") from None
    return unpacked(packed)


def _derived(response_id: str, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=purpose).derive(response_id.encode())
