"""Wiring of the ingress."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.credit import BalanceChanged
from contracts.requests import Surface
from libs.bus.service import HttpServer, Runtime
from libs.bus.views import View
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from services.ingress.authentication import Authenticator
from services.ingress.balance import BalancePage
from services.ingress.claimant import Claimant
from services.ingress.completions import Completions
from services.ingress.counting import TokenCountPage
from services.ingress.replies import RepliesReader
from services.ingress.routes import application
from services.ingress.settings import IngressSettings
from services.ingress.waiting import WaitingRoom


@asynccontextmanager
async def build(runtime: Runtime) -> AsyncIterator[None]:
    """HTTP in, requests and prompts out; replies in, HTTP out."""
    config, settings = GatewayConfig(), IngressSettings()
    ingress_id = f"ingress-{secrets.token_hex(8)}"
    authenticator = Authenticator()
    room = WaitingRoom(ingress_id, runtime.dead_letters)
    replies = RepliesReader(runtime.bus, runtime.watch, room)
    claimant = Claimant(
        runtime.bus,
        runtime.watch,
        runtime.producer,
        runtime.dead_letters,
        ingress_id,
        on_claimed=replies.claimed,
        on_lost=replies.lost,
    )
    catalog = Catalog(config)
    balances = View(topics.BALANCES, BalanceChanged)
    completions = Completions(
        config, catalog, authenticator, balances, claimant, replies, room, runtime.producer, runtime.watch, ingress_id
    )
    routes = application(
        catalog,
        {surface: completions.endpoint(surface) for surface in Surface},
        balance=BalancePage(authenticator, balances),
        counting=TokenCountPage(authenticator, catalog, most_bytes=config.limits.body_bytes),
    )
    views = runtime.views(*authenticator.views, balances)
    runtime.health.check("reply partition", lambda: claimant.held is not None and replies.ready)
    runtime.health.check("broker", lambda: runtime.watch.up)
    server = HttpServer(
        routes,
        settings.host,
        settings.port,
        timeout_graceful_shutdown=settings.drain_s,
        timeout_keep_alive=75,
    )
    await runtime.producer.prepare(
        topics.REQUESTS, topics.PROMPTS, topics.CANCELLATIONS, topics.CLAIMS, topics.KEY_USES
    )
    async with runtime.running(views):
        await views.wait_ready()
        async with runtime.running(replies, claimant, server):
            yield
