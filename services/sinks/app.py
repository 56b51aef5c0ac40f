"""Wiring of the sinks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.clock import now_ms
from contracts.services import ALERTS_GROUP
from contracts.sinks import SinkBackfillOrdered
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.gateway import GatewayConfig
from services.sinks.alerting import AlertProcessor
from services.sinks.delivery import Delivery
from services.sinks.letters import LetterCount
from services.sinks.making import make_receiver

ALERT_TICK_S = 5.0
ALERTS_GATHER_S = 0.5


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Usage, charges, credit and alerts out to other systems; alerts from what the gateway reports."""
    config = GatewayConfig()
    orders: View[SinkBackfillOrdered] = View(topics.BACKFILLS, on_change=lambda *_: _look(deliveries))
    deliveries: list[Delivery] = [
        Delivery(service, name, one, make_receiver(name, one), orders) for name, one in config.sinks.items()
    ]
    letters = LetterCount(service)
    alerts = service.member(
        ALERTS_GROUP,
        lambda work: AlertProcessor(service, work, config.alerts, letters),
        begin_ms=now_ms(),
        tick_s=ALERT_TICK_S,
        gather_s=ALERTS_GATHER_S,
    )
    views = service.views(orders)
    async with service.running(views):
        await views.wait_ready()
        async with service.running(letters, alerts, *deliveries):
            yield


def _look(deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        delivery.ordered()
