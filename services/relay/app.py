"""Wiring of the relay."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.clock import now_ms
from contracts.control import EpochKeySealed, RelayAnnounced
from libs.bus.follower import Follower, From
from libs.bus.service import Runtime
from libs.bus.upkeep import Upkeep
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.relay.core.tally import Tally
from services.relay.grants import Grants
from services.relay.handlers import GROUP, RelayHandlers
from services.relay.outcomes import Reporting
from services.relay.upstream import Upstreams


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Routes and prompts in; attempts, replies, usage and providers' outcomes out."""
    config = GatewayConfig()
    relay_id = f"relay-{secrets.token_hex(8)}"
    grants = Grants(relay_id)
    relays = View(topics.RELAYS, RelayAnnounced)
    grant_keys = View(topics.GRANT_KEYS, EpochKeySealed, on_change=grants.epoch_key_sealed)
    tally = Tally()
    upstreams = Upstreams(config.providers, config.timeouts)
    handlers = RelayHandlers(
        relay_id,
        runtime.bus,
        runtime.producer,
        runtime.dead_letters,
        grants=grants,
        upstreams=upstreams,
        tally=tally,
        catalog=Catalog(config),
        timeouts=config.timeouts,
    )
    handlers.consumer = runtime.consumer(
        group=GROUP,
        topics=[topics.ROUTES, topics.PROMPTS],
        handle=handlers.handle,
        on_assigned=handlers.assigned,
        on_poison=handlers.poisoned,
        on_stop=handlers.drain,
        member=relay_id,
    )
    views = runtime.views(relays, grant_keys)
    announcement = Upkeep(runtime.producer, relays, lambda: {relay_id: grants.announcement(now_ms())})
    cancellations = Follower(
        runtime.bus,
        runtime.watch,
        [(topics.CANCELLATIONS, number) for number in range(runtime.bus.partitions)],
        handlers.cancellations,
        begin=From.END,
    )
    reporting = Reporting(runtime.producer, tally, relay_id)
    runtime.health.check("epoch key", lambda: grants.ready)
    await runtime.producer.prepare(topics.ATTEMPTS, topics.USAGE, topics.REPLIES, topics.RELAYS, topics.OUTCOMES)
    async with runtime.running(views):
        await views.wait_ready()
        async with runtime.running(announcement, cancellations, upstreams, reporting, handlers, handlers.consumer):
            yield
