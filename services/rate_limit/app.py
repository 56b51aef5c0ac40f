"""Wiring of the rate-limit service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.control import CredentialChanged, PolicySet
from libs.bus.service import Runtime
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.rate_limit.core.spending import ORPHAN_AFTER_MS, Rules
from services.rate_limit.handlers import QuotaHandlers


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests, usage and the ledger's facts in; `QuotaReserved` and the changelog out."""
    config = GatewayConfig()
    policies = View(topics.POLICIES, PolicySet)
    credentials = View(topics.CREDENTIALS, CredentialChanged)
    views = runtime.views(policies, credentials)
    handlers = QuotaHandlers(
        runtime.bus,
        runtime.producer,
        runtime.dead_letters,
        rules=Rules(config.limits, config.billing),
        catalog=Catalog(config),
        policies=policies.entries,
        credentials=credentials.entries,
        keep_ms=int(config.timeouts.request_s * 1000) + 2 * ORPHAN_AFTER_MS,
    )
    handlers.consumer = runtime.consumer(
        group="rate-limit",
        topics=[topics.REQUESTS, topics.USAGE, topics.CHARGES, topics.BALANCES, topics.SPENDING],
        handle=handlers.handle,
        on_assigned=handlers.assigned,
    )
    await runtime.producer.prepare(topics.DECISIONS, topics.QUOTA_STATE)
    async with runtime.running(views):
        await views.wait_ready()
        async with runtime.running(handlers.consumer):
            yield
