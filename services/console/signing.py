"""The keys that sign tokens: Ed25519, the private half encrypted at rest."""

import secrets
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contracts import topics
from libs.identity.tokens import mint, public_bytes
from libs.sealing.envelope import Envelope, KeyRing
from services.console.outbox import enqueue, published


class SigningKeys:
    """The newest key signs. `load` makes the first one where there is none."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._kid = ""
        self._key: Ed25519PrivateKey | None = None

    async def load(self, connection: Any) -> None:
        """Reads the newest key, or makes one. Call it inside a transaction.

        Raises:
            libs.sealing.envelope.EnvelopeError: the key-encryption key is not the one it was sealed with.
        """
        await connection.execute("lock table control.signing_keys in exclusive mode")
        row = await connection.fetchrow("select * from control.signing_keys order by created_at desc, kid limit 1")
        if row is None:
            await self._make(connection)
            return
        envelope = Envelope(row["kek_version"], row["wrapped_key"], row["ciphertext"])
        self._kid = row["kid"]
        self._key = Ed25519PrivateKey.from_private_bytes(self._ring.open(envelope, _about(row["kid"])))

    async def _make(self, connection: Any) -> None:
        key, kid = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        envelope = self._ring.seal(key.private_bytes_raw(), _about(kid))
        await connection.execute(
            "insert into control.signing_keys (kid, public_key, kek_version, wrapped_key, ciphertext) "
            "values ($1, $2, $3, $4, $5)",
            kid,
            public_bytes(key),
            envelope.kek_version,
            envelope.wrapped_key,
            envelope.ciphertext,
        )
        await enqueue(connection, topics.SIGNING_KEYS, kid, published(kid, public_bytes(key)))
        self._kid, self._key = kid, key

    def api_key(self, *, jti: str, account_id: str, token_epoch: int, ttl_s: int) -> str:
        """Signs an API key.

        Raises:
            RuntimeError: no key was loaded.
        """
        if self._key is None:
            raise RuntimeError("no signing key was loaded")
        return mint(
            self._key,
            kid=self._kid,
            jti=jti,
            account_id=account_id,
            token_epoch=token_epoch,
            issued_at_s=int(datetime.now(UTC).timestamp()),
            ttl_s=ttl_s,
        )


def _about(kid: str) -> bytes:
    return f"sluice signing key\0{kid}".encode()
