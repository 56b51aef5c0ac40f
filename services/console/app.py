"""Wiring of the console."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from libs.bus.service import Service
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.database.outbox import Outbox
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from libs.runtime.server import HttpServer
from libs.sealing.key_encryption import key_ring
from services.console.api import ManagementApi
from services.console.byok import OwnKeys
from services.console.calls import Calls
from services.console.last_used import LastUsed
from services.console.outbox import SCHEMA, states
from services.console.settings import ConsoleSettings
from services.console.signing import SigningKeys


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """The management API in, control records out."""
    settings = ConsoleSettings()
    database = Database(DatabaseSettings(), SCHEMA, Path(__file__).with_name("migrations"))
    signing = SigningKeys(key_ring(settings.key_encryption_keys))
    outbox = Outbox(database, SCHEMA, service, states)
    config = GatewayConfig()
    own_keys = OwnKeys(service.producer, config.providers)
    calls = Calls(
        database,
        signing,
        settings.operator_token,
        outbox.wake,
        proxies=config.trusted_proxies,
        forwarded_header=config.forwarded_header,
    )
    api = ManagementApi(calls, signing, own_keys, Catalog(config))
    views = service.views(*own_keys.views)
    last_used = LastUsed(service, database)
    service.health.check("database", lambda: database.ready)
    service.health.check("outbox", lambda: outbox.ready)
    async with service.running(database):
        await database.wait_ready()
        async with database.pool.acquire() as connection, connection.transaction():
            await signing.ensure(connection)
        server = HttpServer(api.application(), settings.host, settings.port, timeout_graceful_shutdown=5)
        async with service.running(views, outbox, last_used, server):
            yield
