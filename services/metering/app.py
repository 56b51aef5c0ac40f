"""Wiring of metering."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts import topics
from contracts.services import METERING_GROUP
from libs.bus.service import Service
from libs.bus.views import View
from libs.config.versions import CatalogVersions
from libs.database.outbox import Outbox
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from services.metering.handlers import AlertChecks, MeteringProcessor
from services.metering.store.ledger import SCHEMA, Ledger
from services.metering.store.sums import states

GATHER_S = 0.1
"""A balance may be older than its last request by this: nobody waits for it."""


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """Usage and orders in, ledger entries, charges and balances out."""
    database = Database(DatabaseSettings(), SCHEMA, Path(__file__).with_name("migrations"))
    outbox = Outbox(database, SCHEMA, service, states)
    settings = View(topics.CREDIT_SETTINGS, on_change=lambda *change: checks.changed(*change))
    versions = CatalogVersions()
    catalog = View(topics.CATALOG, on_change=versions.changed)
    ledger = Ledger(database, settings.entries)
    checks = AlertChecks(ledger, outbox)
    member = service.member(
        METERING_GROUP, lambda _work: MeteringProcessor(ledger, outbox, versions), gather_s=GATHER_S
    )
    views = service.views(settings, catalog)
    service.health.check("catalog", lambda: versions.ready)
    service.health.check("database", lambda: database.ready)
    service.health.check("outbox", lambda: outbox.ready)
    async with service.running(database, outbox, views):
        await views.wait_ready()
        await versions.wait_ready()
        async with service.running(checks.background, member):
            yield
