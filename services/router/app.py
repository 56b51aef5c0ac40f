"""Wiring of the router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from libs.bus.service import Runtime
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.router.handlers import RouterHandlers


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests and decisions in, routes out."""
    config = GatewayConfig()
    keep_ms = int(config.timeouts.route_s * 1000) * 2
    handlers = RouterHandlers(runtime.producer, Catalog(config), keep_ms)
    handlers.consumer = runtime.consumer(
        group="router",
        topics=[topics.REQUESTS, topics.DECISIONS],
        handle=handlers.handle,
        rewind_ms={topics.DECISIONS: keep_ms},
        on_assigned=handlers.assigned,
        on_poison=handlers.poisoned,
    )
    await runtime.producer.prepare(topics.ROUTES, topics.REPLIES)
    async with runtime.running(handlers, handlers.consumer):
        yield
