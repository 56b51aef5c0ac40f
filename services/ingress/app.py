"""Wiring of the ingress."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from contracts import topics
from contracts.requests import Surface
from libs.bus.service import Service
from libs.bus.views import View
from libs.bus.watch import BrokerWatch
from libs.config.catalog import Catalog
from libs.config.gateway import GatewayConfig
from libs.runtime.connection import Connections
from libs.runtime.server import HttpServer
from services.ingress.authentication import Authenticator
from services.ingress.balance import BalancePage
from services.ingress.claimant import Claimant
from services.ingress.completions import Completions
from services.ingress.core.catalog_pages import CatalogPages
from services.ingress.core.generations import generation, request
from services.ingress.counting import TokenCountPage
from services.ingress.door import Door
from services.ingress.entrance import Entrance
from services.ingress.forgetting import ForgetPage
from services.ingress.gate import Gate
from services.ingress.generations import GenerationPage, Generations
from services.ingress.models import CatalogRoutes
from services.ingress.profile import ProfileBalancePage, ProfilePage
from services.ingress.publishing import Publishing
from services.ingress.replies import RepliesReader
from services.ingress.routes import application, completion_paths
from services.ingress.settings import IngressSettings
from services.ingress.stored import StoredPage, StoredResponses, delete, items, show
from services.ingress.visitors import Visitors
from services.ingress.waiting import WaitingRoom


@asynccontextmanager
async def build(service: Service) -> AsyncIterator[None]:
    """HTTP in, requests and prompts out; replies in, HTTP out."""
    config, settings = GatewayConfig(), IngressSettings()
    ingress_id = f"ingress-{secrets.token_hex(8)}"
    authenticator = Authenticator()
    watch = BrokerWatch(service.bus)
    room = WaitingRoom()
    replies = RepliesReader(service, room)
    claimant = Claimant(service, ingress_id, on_claimed=replies.claimed, on_lost=replies.lost)
    catalog = Catalog(config)
    balances, policies = View(topics.BALANCES), View(topics.POLICIES)
    visitors = Visitors(authenticator, config)
    publishing = Publishing(
        service.producer, watch, claimant, replies, ingress_id=ingress_id, within_s=config.timeouts.publish_s
    )
    stored = StoredResponses(service, config.limits)
    entrance = Entrance(config, catalog, balances, policies, publishing, visitors, stored)
    door = Door(config.overload)
    gate = Gate(door, completion_paths(), completion_paths(Surface.MESSAGES))
    completions = Completions(door, gate, visitors, entrance, publishing, room, config.limits, config.timeouts)
    generations = Generations(service, config.timeouts)
    pages = CatalogPages(catalog, config.defaults)
    routes = application(
        CatalogRoutes(pages, visitors, policies),
        {surface: completions.endpoint(surface) for surface in Surface},
        balance=BalancePage(authenticator, balances),
        profile=ProfilePage(authenticator),
        profile_balance=ProfileBalancePage(authenticator, balances),
        counting=TokenCountPage(visitors, catalog),
        response=StoredPage(visitors, stored, {"GET": show, "DELETE": delete}),
        input_items=StoredPage(visitors, stored, {"GET": items}),
        generation=GenerationPage(visitors, generations, generation),
        request=GenerationPage(visitors, generations, request),
        answer_cache=ForgetPage(visitors, service.producer),
    )
    views = service.views(*authenticator.views, balances, policies)
    service.health.check("reply partition", lambda: claimant.held is not None and replies.ready)
    service.health.check("broker", lambda: watch.up)
    server = HttpServer(
        routes,
        settings.host,
        settings.port,
        connections=Connections(
            most_of_address=None if config.trusted_proxies else config.limits.connections_of_address
        ),
        gate=gate,
        timeout_graceful_shutdown=settings.drain_s,
        timeout_keep_alive=75,
    )
    async with service.running(watch, views):
        # The first look-up of prices takes a second of CPU: not on the loop, and not in a client's request.
        await asyncio.gather(views.wait_ready(), asyncio.to_thread(pages.models, datetime.now(UTC)))
        async with service.running(stored, replies, claimant, server):
            yield
