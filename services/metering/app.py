"""Wiring of metering."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts import topics
from contracts.credit import CreditSettingsSet
from libs.bus.service import Runtime
from libs.bus.views import View
from libs.database.outbox import Outbox
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from services.metering.handlers import AlertChecks, MeteringHandlers
from services.metering.store import SCHEMA, Ledger, states


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Usage and orders in, ledger entries, charges and balances out."""
    database = Database(DatabaseSettings(), SCHEMA, Path(__file__).with_name("migrations"))
    outbox = Outbox(database, SCHEMA, runtime.producer, runtime.watch, runtime.name, states)
    settings = View(topics.CREDIT_SETTINGS, CreditSettingsSet, on_change=lambda *change: checks.changed(*change))
    ledger = Ledger(database, settings.entries)
    checks = AlertChecks(ledger, outbox)
    consumer = runtime.consumer(
        group="metering",
        topics=[topics.USAGE, topics.ORDERS],
        handle=MeteringHandlers(ledger, outbox).handle,
        fetch_wait_ms=50,
    )
    views = runtime.views(settings)
    runtime.health.check("database", lambda: database.ready)
    runtime.health.check("outbox", lambda: outbox.ready)
    await runtime.producer.prepare(topics.CHARGES, topics.BALANCES, topics.SPENDING, topics.CREDIT)
    async with runtime.running(database, outbox, views):
        await views.wait_ready()
        async with runtime.running(checks, consumer):
            yield
