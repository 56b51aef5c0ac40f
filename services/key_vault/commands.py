"""Orders to the vault: store a user's own key, test it, forget it, wrap all keys anew."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from contracts import topics
from contracts.clock import now_ms
from contracts.control import CredentialChanged, CredentialUsed
from contracts.mcp import server_of
from contracts.vault import (
    CredentialRemoved,
    CredentialSubmitted,
    CredentialTestOrdered,
    RewrapOrdered,
    VaultCommand,
)
from libs.bus.processor import Processor, RetryLater, Work
from libs.bus.records import Received
from libs.config.pins import Pins
from libs.config.providers import Provider
from libs.config.versions import CatalogVersions
from libs.database.pool import AWAY
from libs.mcp.registration import Registration
from libs.outbound.hooks import HOOK, Hook
from libs.provider_keys.live_check import LiveChecks, NoAnswerError
from libs.runtime.background import Tasks
from libs.sealing.credentials import at_rest, masked_tail, open_credential
from libs.sealing.envelope import EnvelopeError, KeyRing
from libs.sealing.hybrid import KeyPair
from libs.sealing.secret import Secret
from services.key_vault.core.book import CredentialBook
from services.key_vault.store import VaultStore

log = structlog.get_logger()

TESTS_END_WITHIN_S = 6.0


class Credentials:
    """Users' own keys in the database, and the book that follows it. All raise `libs.database.pool.AWAY`."""

    def __init__(self, store: VaultStore, ring: KeyRing, pair: KeyPair, book: CredentialBook, pins: Pins) -> None:
        """
        Args:
            pins: where keys may be tried.
        """
        self._pins = pins
        self._store = store
        self._ring = ring
        self._pair = pair
        self._book = book
        self._checks = LiveChecks()

    async def put(self, command: CredentialSubmitted) -> None:
        """Stores a key. Raises libs.sealing.hybrid.SealError where it does not open."""
        names = {"owner": command.owner, "provider_id": command.provider_id}
        secret = open_credential(command.sealed_key, self._pair, **names)
        # In a thread: the key-encryption keys may be in a service across the network.
        envelope = await asyncio.to_thread(self._ring.seal, secret.reveal().encode(), at_rest(**names))
        await self._store.put(command, envelope, _shown(command.provider_id, secret))
        await self._reload(command.credential_id)

    async def remove(self, command: CredentialRemoved) -> None:
        """Forgets a key."""
        await self._store.remove(command)
        await self._reload(command.credential_id)

    async def rewrap(self) -> None:
        """One at a time, each for itself: after a crash the order comes again and goes on with what is left."""
        await self._store.rewrap_key_pair()
        for credential in self._book.wrapped_otherwise(self._ring.current):
            await self._store.rewrap(credential)
            await self._reload(credential.about.credential_id)
            await asyncio.sleep(0)

    async def refusal(self, credential_id: str, providers: Mapping[str, Provider]) -> tuple[bool, str | None]:
        """Whether the key is known, and why its provider refuses it (None: it takes it)."""
        credential = self._book.get(credential_id)
        if credential is None:
            return False, None
        about = credential.about
        provider = providers.get(about.provider_id)
        if provider is None:
            return True, "no such provider"
        if not self._pins.allow(provider):
            return True, self._pins.refused(about.provider_id)
        try:
            secret = Secret(self._ring.open(credential.envelope, at_rest(about.owner, about.provider_id)).decode())
            return True, await self._checks.refusal_of(about.owner, about.provider_id, provider, secret)
        except (EnvelopeError, NoAnswerError) as failure:
            return True, str(failure)

    async def follow(self, credential_id: str, record: CredentialChanged | None) -> None:
        """Where log and book differ, another vault changed it. The database knows."""
        if record is None or not self._book.knows(record):
            try:
                await self._reload(credential_id)
            except AWAY as error:
                log.warning("credential is read later", error=type(error).__name__)

    async def _reload(self, credential_id: str) -> None:
        stored = await self._store.one(credential_id)
        if stored is None:
            self._book.remove(credential_id)
        else:
            self._book.put([stored])


class CommandProcessor(Processor[VaultCommand]):
    """Carries orders out. A command that does not open becomes a dead letter."""

    def __init__(
        self,
        work: Work,
        credentials: Credentials,
        versions: CatalogVersions,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._work = work
        self._credentials = credentials
        self._versions = versions
        self._on_change = on_change
        self._tests = Tasks("test a key")

    async def process(self, batch: Sequence[Received[VaultCommand]]) -> None:
        """Raises RetryLater while the database is away."""
        try:
            for received in batch:
                await self._carry_out(received)
        except AWAY as error:
            raise RetryLater(f"the vault's database, or its key management, is away ({type(error).__name__})") from None
        finally:
            self._on_change()

    async def drain(self) -> None:
        """Lets tests end."""
        await self._tests.wait(TESTS_END_WITHIN_S)

    async def _carry_out(self, received: Received[VaultCommand]) -> None:
        command = received.record
        if isinstance(command, CredentialSubmitted):
            await self._credentials.put(command)
        elif isinstance(command, CredentialRemoved):
            await self._credentials.remove(command)
        elif isinstance(command, RewrapOrdered):
            await self._credentials.rewrap()
        else:
            # A provider that hangs must not hold up what others order.
            self._work.hold(received)
            self._tests.spawn(self._test(received, command))

    async def _test(self, received: Received[VaultCommand], command: CredentialTestOrdered) -> None:
        try:
            known, error = await self._credentials.refusal(command.credential_id, self._versions.newest.providers)
            if known:
                used = CredentialUsed(credential_id=command.credential_id, used_at_ms=now_ms(), error=error)
                await self._work.publish(topics.CREDENTIAL_USES, used)
        finally:
            self._work.finish(received)


def _shown(provider_id: str, secret: Secret) -> str:
    """What may be shown: of a key its end, of an MCP server or a webhook its address."""
    if provider_id == HOOK:
        return Hook.decode(secret).url
    return masked_tail(secret) if server_of(provider_id) is None else Registration.decode(secret).shown
