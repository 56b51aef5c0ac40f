"""Wiring of the key-vault."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.clock import now_ms
from contracts.control import EpochKeySealed, RelayAnnounced
from libs.bus.consumer import Batch
from libs.bus.deciding import publish_decisions
from libs.bus.service import Runtime
from libs.bus.upkeep import Upkeep
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.key_vault.epochs import Epochs
from services.key_vault.granting import grant, own_keys


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests in, `CredentialGranted` out; epoch keys to the relays."""
    catalog = Catalog(GatewayConfig())
    keys = own_keys(catalog, os.environ)
    epochs = Epochs(now_ms())
    grant_keys = View(topics.GRANT_KEYS, EpochKeySealed)
    upkeep = Upkeep(runtime.producer, grant_keys, lambda: epochs.sealed(now_ms()))

    def relay_changed(relay_id: str, relay: RelayAnnounced | None) -> None:
        epochs.relay_changed(relay_id, relay)
        upkeep.wake()

    relays = View(topics.RELAYS, RelayAnnounced, on_change=relay_changed)

    async def handle(batch: Batch) -> None:
        epoch = epochs.current
        await publish_decisions(
            runtime.producer, batch, "key-vault grant", lambda received: grant(received.record, catalog, keys, epoch)
        )

    views = runtime.views(relays, grant_keys)
    consumer = runtime.consumer(group="key-vault", topics=[topics.REQUESTS], handle=handle)
    await runtime.producer.prepare(topics.DECISIONS, topics.GRANT_KEYS)
    async with runtime.running(views):
        await views.wait_ready()
        async with runtime.running(upkeep, consumer):
            yield
