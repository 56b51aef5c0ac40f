"""The keys that sign tokens: Ed25519, the private half encrypted at rest.

The newest key that is not being retired signs; all that are not past their end verify, so a rotation overlaps.
"""

import base64
import secrets
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contracts import topics
from libs.database.pool import Connection
from libs.identity.tokens import mint, public_bytes
from libs.sealing.envelope import Envelope, KeyRing
from services.console.answers import Answer
from services.console.core.records import published
from services.console.errors import Conflict, NotFound
from services.console.outbox import enqueue


class SigningKey(Answer):
    """A signing key without its private half."""

    kid: str
    created_at: datetime
    not_after: datetime | None
    """From then on nothing that it signed is valid."""


class JsonWebKey(Answer):
    """The public half of a signing key (RFC 8037)."""

    kty: str = "OKP"
    crv: str = "Ed25519"
    use: str = "sig"
    alg: str = "EdDSA"
    kid: str
    x: str


class JsonWebKeySet(Answer):
    """RFC 7517."""

    keys: list[JsonWebKey]


class SigningKeys:
    """Signs and verifies. All consoles of a deployment share the keys through the database."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._private: dict[str, Ed25519PrivateKey] = {}

    async def ensure(self, connection: Connection) -> None:
        """Makes the first key where there is none, and opens the newest. Call it inside a transaction.

        Raises:
            libs.sealing.envelope.EnvelopeError: the key-encryption key is not the one it was sealed with.
        """
        await connection.execute("lock table control.signing_keys in exclusive mode")
        if await connection.fetchval("select count(*) from control.signing_keys where not_after is null") == 0:
            await self.make(connection)
        await self._current(connection)

    async def make(self, connection: Connection) -> str:
        """Adds a key, which signs from now on; returns its ``kid``. Call it inside a transaction."""
        key, kid = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        envelope = self._ring.seal(key.private_bytes_raw(), _about(kid))
        await connection.execute(
            "insert into control.signing_keys (kid, public_key, kek_version, wrapped_key, ciphertext, created_at) "
            "values ($1, $2, $3, $4, $5, clock_timestamp())",
            kid,
            public_bytes(key),
            envelope.kek_version,
            envelope.wrapped_key,
            envelope.ciphertext,
        )
        await enqueue(connection, topics.SIGNING_KEYS, published(kid, public_bytes(key), None))
        return kid

    async def retire(self, connection: Connection, kid: str, not_after: datetime) -> None:
        """Ends a key: from ``not_after`` on nothing that it signed is valid. Call it inside a transaction.

        Raises:
            NotFound: no such key.
            Conflict: it is the one that signs.
        """
        row = await connection.fetchrow("select public_key from control.signing_keys where kid = $1 for update", kid)
        if row is None:
            raise NotFound(f"there is no signing key {kid!r}")
        current, _key = await self._current(connection)
        if kid == current:
            raise Conflict("this key signs now; rotate first, then retire it")
        await connection.execute("update control.signing_keys set not_after = $2 where kid = $1", kid, not_after)
        await enqueue(connection, topics.SIGNING_KEYS, published(kid, row["public_key"], not_after))

    async def sign(self, connection: Connection, **claims: Any) -> str:
        """Signs a token; the arguments are those of `libs.identity.tokens.mint`."""
        kid, key = await self._current(connection)
        return mint(key, kid=kid, issued_at_s=int(datetime.now(UTC).timestamp()), **claims)

    async def public(self, connection: Connection) -> dict[str, Ed25519PublicKey]:
        """The keys that verify now, by ``kid``."""
        rows = await connection.fetch(
            "select kid, public_key from control.signing_keys where not_after is null or not_after > now()"
        )
        return {row["kid"]: Ed25519PublicKey.from_public_bytes(row["public_key"]) for row in rows}

    async def rows(self, connection: Connection) -> list[SigningKey]:
        """All keys without their private halves, newest first."""
        rows = await connection.fetch(
            "select kid, created_at, not_after from control.signing_keys order by created_at desc"
        )
        return [SigningKey(**row) for row in rows]

    async def _current(self, connection: Connection) -> tuple[str, Ed25519PrivateKey]:
        row = await connection.fetchrow(
            "select * from control.signing_keys where not_after is null order by created_at desc, kid limit 1"
        )
        assert row is not None
        kid = row["kid"]
        if kid not in self._private:
            envelope = Envelope(row["kek_version"], row["wrapped_key"], row["ciphertext"])
            self._private[kid] = Ed25519PrivateKey.from_private_bytes(self._ring.open(envelope, _about(kid)))
        return kid, self._private[kid]


def jwks(keys: dict[str, Ed25519PublicKey]) -> JsonWebKeySet:
    """The public keys."""
    return JsonWebKeySet(
        keys=[
            JsonWebKey(kid=kid, x=base64.urlsafe_b64encode(public_bytes(key)).rstrip(b"=").decode())
            for kid, key in keys.items()
        ]
    )


def _about(kid: str) -> bytes:
    return f"sluice signing key\0{kid}".encode()
