"""Orders to the vault: store a user's own key, or forget it."""

import asyncio
from collections.abc import Mapping

import structlog

from contracts import topics
from contracts.clock import now_ms
from contracts.control import CredentialChanged, CredentialUsed
from contracts.vault import CredentialRemoved, CredentialSubmitted, CredentialTestOrdered, RewrapOrdered
from libs.bus.consumer import Batch, RetryLater
from libs.bus.producer import Producer, settle
from libs.config.gateway import Provider
from libs.database.pool import AWAY
from libs.provider_keys.live_check import NoAnswerError, refusal_of
from libs.sealing.credentials import at_rest, masked_tail, open_credential
from libs.sealing.envelope import EnvelopeError, KeyRing
from libs.sealing.hybrid import KeyPair
from libs.sealing.secret import Secret
from services.key_vault.core.book import CredentialBook
from services.key_vault.store import VaultStore

log = structlog.get_logger()


class CommandHandlers:
    """Commands in; the database and the book follow, the book's records are told by its upkeep."""

    def __init__(
        self,
        store: VaultStore,
        ring: KeyRing,
        pair: KeyPair,
        book: CredentialBook,
        *,
        providers: Mapping[str, Provider],
        producer: Producer,
    ) -> None:
        self._providers = providers
        self._producer = producer
        self._store = store
        self._ring = ring
        self._pair = pair
        self._book = book

    async def handle(self, batch: Batch) -> None:
        """Raises RetryLater while the database is away; a command that does not open goes to the dead letters."""
        try:
            for received in batch:
                command = received.record
                if isinstance(command, RewrapOrdered):
                    await self._rewrap()
                    continue
                if isinstance(command, CredentialTestOrdered):
                    await self._test(command.credential_id)
                    continue
                if isinstance(command, CredentialSubmitted):
                    await self._put(command)
                else:
                    assert isinstance(command, CredentialRemoved)
                    await self._store.remove(command)
                await self.reload(command.credential_id)
        except AWAY as error:
            raise RetryLater(f"the vault's database, or its key management, is away ({type(error).__name__})") from None

    async def _test(self, name: str) -> None:
        """Asks the provider, and tells what it said."""
        credential = self._book.get(name)
        if credential is None:
            return
        about = credential.about
        try:
            data = at_rest(about.owner, about.provider_id)
            secret = Secret(self._ring.open(credential.envelope, data).decode())
            provider = self._providers.get(about.provider_id)
            error = await refusal_of(about.provider_id, provider, secret) if provider else "no such provider"
        except (EnvelopeError, NoAnswerError) as failure:
            error = str(failure)
        record = CredentialUsed(credential_id=name, used_at_ms=now_ms(), error=error)
        sent = await self._producer.send(
            topics.CREDENTIAL_USES, record, key=name, event_id=name, subject=name, traceparent=""
        )
        await settle([sent])

    async def _rewrap(self) -> None:
        """One at a time, each for itself: after a crash the order comes again and goes on with what is left."""
        await self._store.rewrap_key_pair()
        for credential in self._book.wrapped_otherwise(self._ring.current):
            await self._store.rewrap(credential)
            await self.reload(credential.about.credential_id)
            await asyncio.sleep(0)

    async def reload(self, credential_id: str) -> None:
        """Brings the book to the database's state of one credential."""
        stored = await self._store.one(credential_id)
        if stored is None:
            self._book.remove(credential_id)
        else:
            self._book.put([stored])

    async def follow(self, credential_id: str, record: CredentialChanged | None) -> None:
        """The log says something else than the book: another vault changed it. The database knows."""
        if record is None or not self._book.knows(record):
            try:
                await self.reload(credential_id)
            except AWAY as error:
                log.warning("credential is read later", error=type(error).__name__)

    async def _put(self, command: CredentialSubmitted) -> None:
        names = {"owner": command.owner, "provider_id": command.provider_id}
        secret = open_credential(command.sealed_key, self._pair, **names)
        # In a thread: the key-encryption keys may be in a service across the network.
        envelope = await asyncio.to_thread(self._ring.seal, secret.reveal().encode(), at_rest(**names))
        await self._store.put(command, envelope, masked_tail(secret))
