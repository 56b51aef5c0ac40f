"""The vault's SQL. A command that is older than what is stored changes nothing, so commands may come again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from contracts.control import CredentialChanged
from contracts.vault import CredentialRemoved, CredentialSubmitted
from libs.database.pool import AWAY, Database
from libs.sealing.credentials import at_rest
from libs.sealing.envelope import Envelope, EnvelopeError, KeyRing
from libs.sealing.hybrid import KeyPair
from services.key_vault.core.book import Credential

log = structlog.get_logger()

Loaded = TypeVar("Loaded")
RETRY_S = 1.0
_KEY_PAIR = b"sluice vault key pair"


class VaultStore:
    """The schema ``vault``; only this service's role may read it."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring

    async def key_pair(self) -> KeyPair:
        """The pair to which keys are sealed on their way in; made on the first call, shared by all vaults.

        Raises:
            libs.sealing.envelope.EnvelopeError: the key-encryption key is not the one it was sealed with.
        """
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table vault.key_pair in exclusive mode")
            row = await connection.fetchrow("select kek_version, wrapped_key, ciphertext from vault.key_pair")
            if row is not None:
                return KeyPair.from_bytes(await asyncio.to_thread(self._ring.open, Envelope(*row), _KEY_PAIR))
            pair = KeyPair.generate()
            envelope = await asyncio.to_thread(self._ring.seal, pair.private_bytes(), _KEY_PAIR)
            await connection.execute(
                "insert into vault.key_pair (kek_version, wrapped_key, ciphertext) values ($1, $2, $3)",
                envelope.kek_version,
                envelope.wrapped_key,
                envelope.ciphertext,
            )
            return pair

    async def all(self) -> list[Credential]:
        """Every credential that is not removed."""
        rows = await self._database.pool.fetch("select * from vault.credentials where not removed")
        return await asyncio.to_thread(lambda: [self._warm(_credential(row)) for row in rows])

    async def one(self, name: str) -> Credential | None:
        """A credential, unless it is removed or unknown."""
        row = await self._database.pool.fetchrow(
            "select * from vault.credentials where credential_id = $1 and not removed", name
        )
        return None if row is None else await asyncio.to_thread(self._warm, _credential(row))

    async def load(self) -> tuple[KeyPair, list[Credential]]:
        """The key pair and every credential."""
        return await self.key_pair(), await self.all()

    def _warm(self, credential: Credential) -> Credential:
        """Opens it once, off the loop: a key management service is asked now, not when a request waits."""
        about = credential.about
        with contextlib.suppress(EnvelopeError):
            self._ring.open(credential.envelope, at_rest(about.owner, about.provider_id))
        return credential

    async def put(self, command: CredentialSubmitted, envelope: Envelope, tail: str) -> None:
        """Stores or replaces a key."""
        await self._database.pool.execute(
            "insert into vault.credentials (credential_id, owner, provider_id, kek_version, wrapped_key, ciphertext, "
            "tail, submitted_by, created_at_ms, updated_at_ms) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) "
            "on conflict (credential_id) do update set kek_version = excluded.kek_version, "
            "wrapped_key = excluded.wrapped_key, ciphertext = excluded.ciphertext, tail = excluded.tail, "
            "submitted_by = excluded.submitted_by, updated_at_ms = excluded.updated_at_ms, removed = false, "
            "created_at_ms = case when credentials.removed then excluded.created_at_ms "
            "else credentials.created_at_ms end "
            "where credentials.updated_at_ms < excluded.updated_at_ms",
            command.credential_id,
            command.owner,
            command.provider_id,
            envelope.kek_version,
            envelope.wrapped_key,
            envelope.ciphertext,
            tail,
            command.submitted_by,
            command.submitted_at_ms,
        )

    async def rewrap(self, credential: Credential) -> None:
        """Wraps a data key anew; changes nothing if the key was replaced or removed meanwhile.

        Raises:
            libs.sealing.envelope.EnvelopeError: the older key-encryption key is not there.
        """
        about = credential.about
        data = at_rest(about.owner, about.provider_id)
        envelope = await asyncio.to_thread(self._ring.rewrap, credential.envelope, data)
        await self._database.pool.execute(
            "update vault.credentials set kek_version = $3, wrapped_key = $4 "
            "where credential_id = $1 and wrapped_key = $2",
            about.credential_id,
            credential.envelope.wrapped_key,
            envelope.kek_version,
            envelope.wrapped_key,
        )

    async def rewrap_key_pair(self) -> None:
        """The same for the vault's own key pair."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch("select kek_version, wrapped_key, ciphertext from vault.key_pair for update")
            for row in rows:
                envelope = await asyncio.to_thread(self._ring.rewrap, Envelope(*row), _KEY_PAIR)
                await connection.execute(
                    "update vault.key_pair set kek_version = $1, wrapped_key = $2",
                    envelope.kek_version,
                    envelope.wrapped_key,
                )

    async def remove(self, command: CredentialRemoved) -> None:
        """Destroys a key; a row without it stays, so that an older command does not bring it back."""
        await self._database.pool.execute(
            "insert into vault.credentials (credential_id, owner, provider_id, submitted_by, created_at_ms, "
            "updated_at_ms, removed) values ($1, $2, $3, $4, $5, $5, true) "
            "on conflict (credential_id) do update set kek_version = null, wrapped_key = null, ciphertext = null, "
            "tail = null, removed = true, updated_at_ms = excluded.updated_at_ms "
            "where credentials.updated_at_ms < excluded.updated_at_ms",
            command.credential_id,
            command.owner,
            command.provider_id,
            command.removed_by,
            command.removed_at_ms,
        )


async def patiently(load: Callable[[], Awaitable[Loaded]]) -> Loaded:
    """Loads, for as long as it takes until database and key-encryption keys are there."""
    while True:
        try:
            return await load()
        except AWAY as error:
            log.warning("the vault is loaded later", error=type(error).__name__, what=str(error)[:200])
            await asyncio.sleep(RETRY_S)


def _credential(row: Any) -> Credential:
    about = CredentialChanged.model_validate({name: row[name] for name in CredentialChanged.model_fields})
    return Credential(about, Envelope(row["kek_version"], row["wrapped_key"], row["ciphertext"]))
