"""Wiring of the key-vault."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from contracts import topics
from contracts.clock import now_ms
from contracts.control import CredentialChanged, RelayAnnounced, VaultAnnounced
from contracts.services import KEY_VAULT_GROUP, VAULT_COMMANDS_GROUP
from libs.bus.follower import From
from libs.bus.placing import partition_of_route
from libs.bus.service import Service
from libs.bus.upkeep import Upkeep
from libs.bus.views import View
from libs.config.gateway import GatewayConfig
from libs.config.pins import Pins
from libs.config.versions import CatalogVersions
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from libs.limits.key_quotas import KeyQuotas
from libs.runtime.background import Tasks
from libs.sealing.key_encryption import key_ring
from libs.telemetry.instruments import KEYS_RESTING
from services.key_vault.commands import CommandProcessor, Credentials
from services.key_vault.core.book import CredentialBook
from services.key_vault.core.epochs import Epochs
from services.key_vault.core.granting import Granting
from services.key_vault.core.own_keys import Rests
from services.key_vault.core.vouching import ControlViews, Vouching
from services.key_vault.handlers import GrantingProcessor, Patience
from services.key_vault.measuring import observe_quotas
from services.key_vault.settings import VaultSettings
from services.key_vault.store import VaultStore, patiently

VAULT_ID = "vault"
"""All vaults of a deployment are one: they share the database and the key pair in it."""


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests in, `CredentialGranted` out; vault commands in, credential records out; keys to the relays."""
    versions = CatalogVersions()
    ring = key_ring(VaultSettings().key_encryption_keys)
    database = Database(DatabaseSettings(), "vault", Path(__file__).with_name("migrations"))
    epochs = Epochs(now_ms(), partial(partition_of_route, service.bus), service.bus.partitions)
    store, book = VaultStore(database, ring), CredentialBook()
    rests, pins = Rests(), Pins.of(GatewayConfig())
    quotas = KeyQuotas()
    granting = Granting(os.environ, book, ring, rests, pins, quotas)
    uses = service.follower(topics.PROVIDER_KEY_USES, lambda received: quotas.note(received.record))
    outcomes = service.follower(topics.OUTCOMES, lambda received: rests.note(received.record), begin=From.END)
    observe_quotas(quotas, versions)
    KEYS_RESTING.observe("rests", lambda: [(count, (name,)) for name, count in rests.resting(now_ms()).items()])
    following = Tasks("follow a credential")
    service.health.check("catalog", lambda: versions.ready)
    service.health.check("database", lambda: database.ready)
    async with service.running(database):
        # Without the users' own keys no grant is right, so nothing is granted before they are here.
        await database.wait_ready()
        pair, stored = await patiently(store.load)
        book.put(stored)
        keeper = Credentials(store, ring, pair, book, pins)

        def credential_changed(credential_id: str, record: CredentialChanged | None) -> None:
            following.spawn(keeper.follow(credential_id, record))

        def relay_changed(relay_id: str, relay: RelayAnnounced | None) -> None:
            epochs.relay_changed(relay_id, relay, now_ms())
            epoch_upkeep.wake()

        def announcement() -> dict[str, VaultAnnounced]:
            record = VaultAnnounced(
                vault_id=VAULT_ID,
                public_key=pair.public,
                kek_version=ring.current,
                credentials=len(book),
                to_rewrap=len(book.wrapped_otherwise(ring.current)),
            )
            return {VAULT_ID: record}

        grant_keys, vaults = View(topics.GRANT_KEYS), View(topics.VAULTS)
        catalog = View(topics.CATALOG, on_change=versions.changed)
        credentials = View(topics.CREDENTIALS, on_change=credential_changed)
        relays = View(topics.RELAYS, on_change=relay_changed)
        epoch_upkeep = Upkeep(service.producer, grant_keys, lambda: epochs.sealed(now_ms()))
        credential_upkeep = Upkeep(service.producer, credentials, book.records, outlives=True)
        vault_upkeep = Upkeep(service.producer, vaults, announcement, outlives=True)
        signing_keys, accounts = View(topics.SIGNING_KEYS), View(topics.ACCOUNTS)
        revocations, memberships = View(topics.REVOCATIONS), View(topics.MEMBERSHIPS)
        control = ControlViews(
            signing_keys.entries, accounts.entries, revocations.entries, revocations.disputed, memberships.entries
        )
        patience = Patience(Vouching(control))
        views = service.views(
            relays, grant_keys, vaults, credentials, catalog, signing_keys, accounts, revocations, memberships
        )
        requests = service.member(
            KEY_VAULT_GROUP, lambda work: GrantingProcessor(work, versions, granting, epochs, patience)
        )
        commands = service.member(
            VAULT_COMMANDS_GROUP,
            lambda work: CommandProcessor(work, keeper, versions, on_change=credential_upkeep.wake),
        )
        async with service.running(views):
            await views.wait_ready()
            await versions.wait_ready()
            async with service.running(uses):
                # A quota that is used up is so also after a restart.
                await uses.wait_ready()
                async with service.running(outcomes, epoch_upkeep, credential_upkeep, vault_upkeep, requests, commands):
                    yield
