"""Wiring of the policy service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.services import POLICY_GROUP
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.policy.handlers import PolicyProcessor


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests in, `PolicyDecided` out."""
    catalog = Catalog(GatewayConfig())
    policies = View(topics.POLICIES)
    views = service.views(policies)
    member = service.member(POLICY_GROUP, lambda work: PolicyProcessor(work, catalog, policies))
    async with service.running(views):
        await views.wait_ready()
        async with service.running(member):
            yield
