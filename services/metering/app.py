"""Wiring of metering."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts import topics
from libs.bus.service import Runtime
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from services.metering.handlers import MeteringHandlers
from services.metering.store import Ledger


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """Usage in, ledger entries and `ChargePosted` out."""
    database = Database(DatabaseSettings(), "ledger", Path(__file__).with_name("migrations"))
    handlers = MeteringHandlers(runtime.producer, Catalog(GatewayConfig()), Ledger(database))
    consumer = runtime.consumer(group="metering", topics=[topics.USAGE], handle=handlers.handle, fetch_wait_ms=50)
    runtime.health.check("database", lambda: database.ready)
    await runtime.producer.prepare(topics.CHARGES)
    async with runtime.running(database, consumer):
        yield
