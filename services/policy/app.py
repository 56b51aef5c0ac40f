"""Wiring of the policy service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.control import PolicySet
from libs.bus.consumer import Batch
from libs.bus.deciding import publish_decisions
from libs.bus.service import Runtime
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.policy.core.rules import decide


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Requests in, `PolicyDecided` out."""
    catalog = Catalog(GatewayConfig())
    policies = View(topics.POLICIES, PolicySet)

    async def handle(batch: Batch) -> None:
        await publish_decisions(
            runtime.producer,
            batch,
            "policy decide",
            lambda received: decide(received.record, catalog, policies.entries),
        )

    views = runtime.views(policies)
    consumer = runtime.consumer(group="policy", topics=[topics.REQUESTS], handle=handle)
    await runtime.producer.prepare(topics.DECISIONS)
    async with runtime.running(views):
        await views.wait_ready()
        async with runtime.running(consumer):
            yield
