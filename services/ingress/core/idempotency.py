"""``Idempotency-Key``: which key a request has, and which request a key stands for. Pure: a fold over claims.

All ingresses fold the same records, those of a key in the same order, so they agree on which of two came first.
Source of the header: draft-ietf-httpapi-idempotency-key-header, and Stripe's API reference ("Idempotent requests").
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from contracts.idempotency import KEPT_MS, KeyClaimed
from contracts.requests import Surface
from libs.endpoints.multipart import FormError, boundary_of
from libs.sealing.kept import ClientKey
from services.ingress.core.errors import BadRequest

HEADER = "idempotency-key"
MOST_CHARACTERS = 255
MOST_OF_ALL = 10
"""Times what one owner may have."""


def client_key(headers: Mapping[str, str], api_key: str | None, owner: str | None) -> ClientKey | None:
    """The key of a request that has one. Nothing is kept for anonymous clients, who pay nothing twice.

    Raises:
        BadRequest: it is too long, empty, or not printable.
    """
    given = headers.get(HEADER)
    if given is None or api_key is None or owner is None:
        return None
    given = given.strip()
    if not (0 < len(given) <= MOST_CHARACTERS and given.isascii() and given.isprintable()):
        raise BadRequest(f"Idempotency-Key has 1 to {MOST_CHARACTERS} printable ASCII characters.")
    return ClientKey.derive(api_key, owner, given)


def fingerprint(key: ClientKey, surface: Surface, content_type: str, body: bytes) -> str:
    """Of a request: the API and the body, byte for byte. Libraries send a form again with another boundary, which is
    no part of it.
    """
    try:
        parts = body.split(b"--" + boundary_of(content_type).encode("latin-1"))
    except FormError:
        parts = [body]
    return key.fingerprint(surface.value.encode(), *parts)


class Held(NamedTuple):
    """The claim that counts of a key."""

    request: bytes
    fingerprint: str
    subject: str
    partition: int
    offset: int
    claimed_at_ms: int
    begins_by_ms: int

    @property
    def request_id(self) -> str:
        """Of the request that the key stands for."""
        return str(UUID(bytes=self.request))


class KeyClaims:
    """The keys of all owners. An owner has at most so many, and all have `MOST_OF_ALL` times as many together: the
    oldest make way, of whoever has most.
    """

    def __init__(self, most: int) -> None:
        """
        Args:
            most: keys of an owner.
        """
        self._most = most
        self._owners: dict[str, OrderedDict[bytes, Held]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def apply(self, claim: KeyClaimed) -> None:
        """Takes in the next record of the topic."""
        held = self.find(claim.owner, claim.locator, claim.claimed_at_ms)
        if held is not None and held.request_id != claim.supersedes:
            return
        keys = self._owners.setdefault(claim.owner, OrderedDict())
        locator = bytes.fromhex(claim.locator)
        self._count += locator not in keys
        keys.pop(locator, None)
        keys[locator] = Held(
            request=UUID(claim.request_id).bytes,
            fingerprint=claim.fingerprint,
            subject=claim.owner if claim.subject == claim.owner else claim.subject,
            partition=claim.partition,
            offset=claim.offset,
            claimed_at_ms=claim.claimed_at_ms,
            begins_by_ms=claim.begins_by_ms,
        )
        if len(keys) > self._most:
            self._drop(claim.owner)
        if self._count > self._most * MOST_OF_ALL:
            self._drop(max(self._owners, key=lambda owner: len(self._owners[owner])))

    def find(self, owner: str, locator: str, now_ms: int) -> Held | None:
        """What a key stands for, if it does."""
        keys = self._owners.get(owner)
        held = keys.get(bytes.fromhex(locator)) if keys else None
        return held if held and now_ms < held.claimed_at_ms + KEPT_MS else None

    def expire(self, now_ms: int) -> None:
        """Forgets keys that stand for nothing any more. An owner's expire about in the order in which they came."""
        for owner, keys in list(self._owners.items()):
            while keys and next(iter(keys.values())).claimed_at_ms + KEPT_MS <= now_ms:
                self._drop(owner)

    def _drop(self, owner: str) -> None:
        keys = self._owners[owner]
        keys.popitem(last=False)
        self._count -= 1
        if not keys:
            del self._owners[owner]
