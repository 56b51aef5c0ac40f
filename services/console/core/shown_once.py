"""What a page shows once, on its way over a redirect: sealed so that only the browser's own token opens it. Pure."""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


def seal(token: str, text: str, nonce: bytes) -> bytes:
    """A text that needs the session's token to be read: who has the database alone has nothing.

    Args:
        token: of a session, 256 random bits.
        nonce: 12 random bytes.
    """
    return nonce + AESGCM(_key(token)).encrypt(nonce, text.encode(), None)


def unseal(token: str, sealed: bytes) -> str | None:
    """Inverse of `seal`; None where it is another session's, or was changed."""
    try:
        return AESGCM(_key(token)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
    except (InvalidTag, ValueError):
        return None


def _key(token: str) -> bytes:
    return hashlib.blake2b(b"sluice shown once", key=token.encode()[:64], digest_size=32).digest()
