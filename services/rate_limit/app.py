"""Wiring of the rate-limit service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.services import RATE_LIMIT_GROUP
from libs.bus.processor import Work
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.rate_limit.core.spending import ORPHAN_AFTER_MS, Rules
from services.rate_limit.handlers import FORGET_EVERY_S, QuotaProcessor


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests, usage and the ledger's facts in; `QuotaReserved` and the changelog out."""
    config = GatewayConfig()
    catalog = Catalog(config)
    policies, credentials = View(topics.POLICIES), View(topics.CREDENTIALS)
    views = service.views(policies, credentials)

    def make(work: Work) -> QuotaProcessor:
        return QuotaProcessor(
            work,
            service,
            rules=Rules(config.limits, config.billing),
            catalog=catalog,
            policies=policies.entries,
            credentials=credentials.entries,
            keep_ms=int(config.timeouts.request_s * 1000) + 2 * ORPHAN_AFTER_MS,
        )

    member = service.member(RATE_LIMIT_GROUP, make, tick_s=FORGET_EVERY_S)
    async with service.running(views):
        await views.wait_ready()
        async with service.running(member):
            yield
