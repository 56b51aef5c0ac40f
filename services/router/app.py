"""Wiring of the router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from libs.bus.follower import Follower, From
from libs.bus.service import Runtime
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.router.core.health import Health
from services.router.handlers import RouterHandlers

OUTCOMES_WAIT_MS = 250
"""Relays report every half second; each look costs the embedded broker work that requests wait for."""


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests, decisions and providers' outcomes in, routes out."""
    config = GatewayConfig()
    keep_ms = int(config.timeouts.route_s * 1000) * 2
    handlers = RouterHandlers(
        runtime.producer,
        runtime.dead_letters,
        catalog=Catalog(config),
        health=Health(config.routing.breaker),
        sort=config.routing.sort,
        keep_ms=keep_ms,
    )
    handlers.consumer = runtime.consumer(
        group="router",
        topics=[topics.REQUESTS, topics.DECISIONS],
        handle=handlers.handle,
        rewind_ms={topics.DECISIONS: keep_ms},
        on_assigned=handlers.assigned,
        on_poison=handlers.poisoned,
    )
    outcomes = Follower(
        runtime.bus,
        runtime.watch,
        [(topics.OUTCOMES, 0)],
        handlers.outcomes,
        begin=From.END,
        fetch_wait_ms=OUTCOMES_WAIT_MS,
    )
    await runtime.producer.prepare(topics.ROUTES, topics.REPLIES)
    async with runtime.running(outcomes, handlers, handlers.consumer):
        yield
