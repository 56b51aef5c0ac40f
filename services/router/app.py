"""Wiring of the router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from contracts import topics
from contracts.clock import now_ms
from contracts.services import ROUTER_GROUP
from libs.bus.follower import From
from libs.bus.processor import Work
from libs.bus.service import Service
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.telemetry.instruments import STANDING
from services.router.core.health import Health
from services.router.handlers import EXPIRE_EVERY_S, RouterProcessor, on_outcomes


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Requests, decisions and providers' outcomes in, routes out."""
    config = GatewayConfig()
    catalog = Catalog(config)
    health = Health(config.routing.breaker)
    keep_ms = int(config.timeouts.route_s * 1000) * 2

    def make(work: Work) -> RouterProcessor:
        return RouterProcessor(work, catalog=catalog, health=health, sort=config.routing.sort, keep_ms=keep_ms)

    STANDING.observe("router", lambda: [(health.standing(one, now_ms()), (one,)) for one in catalog.providers])
    decisions = (topics.POLICY_DECISIONS, topics.QUOTA_DECISIONS, topics.CREDENTIAL_GRANTS)
    member = service.member(ROUTER_GROUP, make, rewind_ms=dict.fromkeys(decisions, keep_ms), tick_s=EXPIRE_EVERY_S)
    outcomes = service.follower(topics.OUTCOMES, partial(on_outcomes, health), begin=From.END)
    async with service.running(outcomes, member):
        yield
