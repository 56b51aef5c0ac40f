"""Wiring of the policy service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.services import POLICY_GROUP
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.versions import CatalogVersions
from services.policy.handlers import PolicyProcessor


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests in, `PolicyDecided` out."""
    versions = CatalogVersions()
    policies, catalog = View(topics.POLICIES), View(topics.CATALOG, on_change=versions.changed)
    views = service.views(policies, catalog)
    member = service.member(POLICY_GROUP, lambda work: PolicyProcessor(work, versions, policies))
    service.health.check("catalog", lambda: versions.ready)
    async with service.running(views):
        await views.wait_ready()
        await versions.wait_ready()
        async with service.running(member):
            yield
