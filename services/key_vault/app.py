"""Wiring of the key-vault."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts import topics
from contracts.clock import now_ms
from contracts.control import CredentialChanged, EpochKeySealed, RelayAnnounced, VaultAnnounced
from libs.bus.consumer import Batch
from libs.bus.deciding import publish_decisions
from libs.bus.service import Runtime
from libs.bus.upkeep import Upkeep
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from libs.sealing.key_encryption import key_ring
from services.key_vault.commands import CommandHandlers
from services.key_vault.core.book import CredentialBook
from services.key_vault.core.epochs import Epochs
from services.key_vault.core.granting import Granting, own_keys
from services.key_vault.settings import VaultSettings
from services.key_vault.store import VaultStore, patiently

VAULT_ID = "vault"
"""All vaults of a deployment are one: they share the database and the key pair in it."""


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests in, `CredentialGranted` out; vault commands in, credential records out; epoch keys to the relays."""
    catalog = Catalog(GatewayConfig())
    ring = key_ring(VaultSettings().key_encryption_keys)
    database = Database(DatabaseSettings(), "vault", Path(__file__).with_name("migrations"))
    store, book, epochs = VaultStore(database, ring), CredentialBook(), Epochs(now_ms())
    granting = Granting(catalog, own_keys(catalog, os.environ), book, ring)
    runtime.health.check("database", lambda: database.ready)
    await runtime.producer.prepare(topics.DECISIONS, topics.GRANT_KEYS)
    async with runtime.running(database):
        # Without the users' own keys no grant is right, so nothing is granted before they are here.
        await database.wait_ready()
        pair, stored = await patiently(store.load)
        book.put(stored)
        commands = CommandHandlers(store, ring, pair, book, providers=catalog.providers, producer=runtime.producer)
        following: set[asyncio.Task[None]] = set()

        def credential_changed(credential_id: str, record: CredentialChanged | None) -> None:
            task = asyncio.create_task(commands.follow(credential_id, record))
            following.add(task)
            task.add_done_callback(following.discard)

        def relay_changed(relay_id: str, relay: RelayAnnounced | None) -> None:
            epochs.relay_changed(relay_id, relay)
            epoch_upkeep.wake()

        async def handle_requests(batch: Batch) -> None:
            epoch = epochs.current
            await publish_decisions(
                runtime.producer, batch, "key-vault grant", lambda received: granting.grant(received.record, epoch)
            )

        async def handle_commands(batch: Batch) -> None:
            await commands.handle(batch)
            credential_upkeep.wake()

        grant_keys = View(topics.GRANT_KEYS, EpochKeySealed)
        vaults = View(topics.VAULTS, VaultAnnounced)
        credentials = View(topics.CREDENTIALS, CredentialChanged, on_change=credential_changed)
        relays = View(topics.RELAYS, RelayAnnounced, on_change=relay_changed)

        def announcement() -> dict[str, VaultAnnounced]:
            record = VaultAnnounced(
                vault_id=VAULT_ID,
                public_key=pair.public,
                kek_version=ring.current,
                credentials=len(book),
                to_rewrap=len(book.wrapped_otherwise(ring.current)),
            )
            return {VAULT_ID: record}

        epoch_upkeep = Upkeep(runtime.producer, grant_keys, lambda: epochs.sealed(now_ms()))
        credential_upkeep = Upkeep(runtime.producer, credentials, book.records, outlives=True)
        vault_upkeep = Upkeep(runtime.producer, vaults, announcement, outlives=True)
        views = runtime.views(relays, grant_keys, vaults, credentials)
        requests = runtime.consumer(group="key-vault", topics=[topics.REQUESTS], handle=handle_requests)
        orders = runtime.consumer(
            group="key-vault-commands", topics=[topics.VAULT_COMMANDS], handle=handle_commands, fetch_wait_ms=100
        )
        async with runtime.running(views):
            await views.wait_ready()
            async with runtime.running(epoch_upkeep, credential_upkeep, vault_upkeep, requests, orders):
                yield
