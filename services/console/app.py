"""Wiring of the console."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from contracts import topics
from libs.bus.service import HttpServer, Runtime
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.database.outbox import Outbox
from libs.database.pool import Database
from libs.database.settings import DatabaseSettings
from libs.sealing.key_encryption import key_ring
from services.console.api import ManagementApi
from services.console.byok import OwnKeys
from services.console.calls import Calls
from services.console.last_used import LastUsed
from services.console.outbox import SCHEMA, states
from services.console.settings import ConsoleSettings
from services.console.signing import SigningKeys


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """The management API in, control records out."""
    settings = ConsoleSettings()
    database = Database(DatabaseSettings(), SCHEMA, Path(__file__).with_name("migrations"))
    signing = SigningKeys(key_ring(settings.key_encryption_keys))
    outbox = Outbox(database, SCHEMA, runtime.producer, runtime.watch, runtime.name, states)
    config = GatewayConfig()
    own_keys = OwnKeys(runtime.producer, config.providers)
    calls = Calls(database, signing, settings.operator_token, outbox.wake)
    api = ManagementApi(calls, signing, own_keys, Catalog(config))
    views = runtime.views(*own_keys.views)
    last_used = LastUsed(database)
    consumer = runtime.consumer(group="console", topics=[topics.KEY_USES], handle=last_used.handle, fetch_wait_ms=200)
    runtime.health.check("database", lambda: database.ready)
    runtime.health.check("outbox", lambda: outbox.ready)
    async with runtime.running(database):
        await database.wait_ready()
        async with database.pool.acquire() as connection, connection.transaction():
            await signing.ensure(connection)
        server = HttpServer(api.application(), settings.host, settings.port, timeout_graceful_shutdown=5)
        async with runtime.running(views, outbox, last_used, consumer, server):
            yield
