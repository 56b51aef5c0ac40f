"""Wiring of the rate-limit service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from libs.bus.service import Runtime
from libs.config.gateway import GatewayConfig
from services.rate_limit.handlers import QuotaHandlers
from services.rate_limit.windows import Limit


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests in, `QuotaReserved` and the changelog out."""
    limits = GatewayConfig().limits
    free_limit = Limit("free", limits.free_requests, limits.free_window_s * 1000)
    handlers = QuotaHandlers(runtime.bus, runtime.producer, runtime.dead_letters, free_limit)
    consumer = runtime.consumer(
        group="rate-limit",
        topics=[topics.REQUESTS],
        handle=handlers.handle,
        on_assigned=handlers.assigned,
    )
    await runtime.producer.prepare(topics.DECISIONS, topics.QUOTA_STATE)
    async with runtime.running(consumer):
        yield
