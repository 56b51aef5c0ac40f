"""Things whose ID is the key to them: who has it opens them, and it is nowhere but with its client (ADR 17, ADR 45).

A name under which one lies, and the key that seals it, follow from its ID (HKDF-SHA256, RFC 5869), which has 256 random
bits. Contents are packed, then sealed with AES-256-GCM (`libs.sealing.kept`).
"""

import re
import secrets
import zlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.sealing.kept import KEY_BYTES, seal, unseal
from libs.sealing.packing import unpacked

_LOCATOR_BYTES = 16
_LEVEL = 1
"""Text of JSON becomes a fifth; level 6 takes twice as long for a tenth less."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of things, by how their IDs begin."""

    prefix: str

    def new_id(self) -> str:
        """An ID that nobody can guess."""
        return self.prefix + secrets.token_urlsafe(32)

    def is_id(self, given: object) -> bool:
        """It has the form of this kind's IDs."""
        return isinstance(given, str) and re.fullmatch(re.escape(self.prefix) + r"[A-Za-z0-9_-]{43}", given) is not None


FILE = Kind("file-sluice_")
BATCH = Kind("batch_sluice_")


class Named:
    """A thing, as whoever has its ID knows it."""

    def __init__(self, name: str, owner: str) -> None:
        """
        Args:
            name: the ID.
            owner: whose it is; of another owner the same ID opens nothing.
        """
        derived = HKDF(SHA256(), _LOCATOR_BYTES + KEY_BYTES, salt=None, info=b"sluice named").derive(name.encode())
        self.name = name
        self.locator = derived[:_LOCATOR_BYTES].hex()
        """32 hex digits, from which nobody computes the ID."""
        self._key = derived[_LOCATOR_BYTES:]
        self._owner = owner

    def seal(self, content: bytes, about: str) -> bytes:
        """Packs and seals.

        Args:
            about: which part of the thing it is: it opens as no other.
        """
        return seal(zlib.compress(content, _LEVEL), self._key, f"{self._owner}\0{about}")

    def open(self, sealed: bytes, about: str) -> bytes:
        """Inverse of `seal`.

        Raises:
            SealError: it was sealed under another ID, for another owner or about something else, or was changed.
        """
        return unpacked(unseal(sealed, self._key, f"{self._owner}\0{about}"))
