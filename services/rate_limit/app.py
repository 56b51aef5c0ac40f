"""Wiring of the rate-limit service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.clock import now_ms
from contracts.services import RATE_LIMIT_GROUP
from libs.bus.processor import Work
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.gateway import GatewayConfig
from libs.config.versions import CatalogVersions
from services.rate_limit.core.bounds import Views
from services.rate_limit.core.timeliness import OutOfTimeCount
from services.rate_limit.core.verdicts import ORPHAN_AFTER_MS
from services.rate_limit.handlers import TICK_S, QuotaProcessor


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests, usage and the ledger's facts in; `QuotaReserved` and the changelog out."""
    timeouts, versions = GatewayConfig().timeouts, CatalogVersions()
    policies, limits, credentials = View(topics.POLICIES), View(topics.LIMITS), View(topics.CREDENTIALS)
    views = service.views(policies, limits, credentials, View(topics.CATALOG, on_change=versions.changed))
    service.health.check("catalog", lambda: versions.ready)
    out_of_time = OutOfTimeCount()
    service.health.problem("clocks", lambda: out_of_time.problem(now_ms()))

    def make(work: Work) -> QuotaProcessor:
        return QuotaProcessor(
            work,
            service,
            versions=versions,
            views=Views(limits.entries, policies.entries),
            credentials=credentials.entries,
            timeouts=timeouts,
            out_of_time=out_of_time,
            keep_ms=int(timeouts.request_s * 1000) + 2 * ORPHAN_AFTER_MS,
        )

    member = service.member(RATE_LIMIT_GROUP, make, tick_s=TICK_S)
    async with service.running(views):
        await views.wait_ready()
        await versions.wait_ready()
        async with service.running(member):
            yield
