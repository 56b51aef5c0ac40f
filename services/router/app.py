"""Wiring of the router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts import topics
from contracts.clock import now_ms
from contracts.services import ROUTER_GROUP
from libs.breakers import Health
from libs.bus.follower import From
from libs.bus.processor import Work
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.gateway import GatewayConfig
from libs.config.versions import CatalogVersions
from libs.telemetry.instruments import STANDING
from services.router.handlers import EXPIRE_EVERY_S, RouterProcessor, on_outcomes


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests, decisions and providers' outcomes in, routes out."""
    versions = CatalogVersions()
    health = Health(lambda: versions.newest.routing.breaker)
    keep_ms = int(GatewayConfig().timeouts.route_s * 1000) * 2

    def make(work: Work) -> RouterProcessor:
        return RouterProcessor(work, versions=versions, health=health, keep_ms=keep_ms)

    STANDING.observe("router", lambda: [(health.standing(one, now_ms()), (one,)) for one in versions.newest.providers])
    decisions = (topics.POLICY_DECISIONS, topics.QUOTA_DECISIONS, topics.CREDENTIAL_GRANTS)
    member = service.member(ROUTER_GROUP, make, rewind_ms=dict.fromkeys(decisions, keep_ms), tick_s=EXPIRE_EVERY_S)
    outcomes = service.follower(topics.OUTCOMES, partial(on_outcomes, health), begin=From.END)
    views = service.views(View(topics.CATALOG, on_change=versions.changed))
    service.health.check("catalog", lambda: versions.ready)
    async with service.running(views):
        await views.wait_ready()
        await versions.wait_ready()
        async with service.running(outcomes, member):
            yield
